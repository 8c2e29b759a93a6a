"""Fake trainings for tests of sweeps: a program that logs like `lightning fit`."""

from pathlib import Path

FAKE = """
import json, os, sys, time
from pathlib import Path

options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if word.startswith("--") and "=" in word)
behaviour, x = options.get("behaviour", "good"), float(options["x"])
words = sys.argv[1:]
run = Path(options["runs"], f"run_{os.getpid()}")
if "--ckpt_path" in words:
    run = Path(words[words.index("--ckpt_path") + 1])
Path(run, "checkpoints").mkdir(parents=True, exist_ok=True)
Path(os.environ["FLOWDISTILL_RUN_RECORD"]).write_text(str(run))
with open(Path(options["runs"], "started.txt"), "a") as started:
    threads = os.environ.get("OMP_NUM_THREADS")
    started.write(json.dumps({"pid": os.getpid(), "words": words, "threads": threads}) + "\\n")
if behaviour == "bad" or (behaviour == "some" and x > 0.8):
    print("error: no data here", file=sys.stderr)
    raise SystemExit(2)
log = run / "metrics.csv"
if not log.exists():
    log.write_text("step,train/loss,val/epe\\n")
done = sum("," in line and line.split(",")[2] != "" for line in log.read_text().splitlines()[1:])
for number in range(done, 8):
    value = "nan" if behaviour == "nan" else f"{x + 1 / (number + 1)}"
    with log.open("a") as opened:
        opened.write(f"{10 * number + 8},0.5,\\n{10 * number + 9},,{value}\\n")
    (run / "checkpoints" / "last.ckpt").write_text("weights")
    time.sleep(float(options.get("pause", "0.05")))
"""


def write_sweep(
    folder: Path, method: str = "random", early: str = "", more: str = "", **options: str
) -> Path:
    """A sweep over one number x from 0 to 1, with the optimum at 0; its trials are in `folder`/runs."""
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    (folder / "trial.py").write_text(FAKE)
    fixed = "".join(f", --{name}={value}" for name, value in options.items())
    x = "{values: [0.5, 0.25, 0.75]}" if method == "grid" else "{min: 0.0, max: 1.0}"
    sweep = folder / "mine.yaml"
    sweep.write_text(
        f"method: {method}\nmetric: {{name: val/epe, goal: minimize}}\n{early}\n{more}\n"
        f"parameters:\n  x: {x}\n  model.kind: {{value: small}}\n"
        f'command: ["${{env}}", python, {folder}/trial.py, --runs={folder}/runs{fixed}, "${{args}}"]\n'
    )
    return sweep
