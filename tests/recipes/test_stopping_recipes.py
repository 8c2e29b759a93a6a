"""Stopping a recipe stops its training, which saves before it exits."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

CODE = """
import signal, sys
from pathlib import Path
from flowdistill.cli import flowdistill
from flowdistill.recipes.commands import fit
from flowdistill.recipes.side_by_side import side_by_side
from flowdistill.cli.exit_codes import report_user_errors
from flowdistill.stopping import raised_on_sigterm

signal.signal(signal.SIGINT, signal.default_int_handler)
folder, data, jobs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
options = ["--model.init_args.width", "0.125", "--data.init_args.batch_size", "2", "--trainer.max_steps", "1000000",
           "--data.init_args.flow.train_split", str(data / "train.txt"), "--trainer.log_every_n_steps", "1",
           "--data.init_args.flow.val_split", str(data / "val.txt")]
def run(name):
    return lambda: fit(folder / name, "configs/demo/ddflow.yaml", data, 0, options)

runs = {name: run(name) for name in "ab"[:jobs]}
with raised_on_sigterm():
    raise SystemExit(report_user_errors(lambda: bool(side_by_side(runs, 2)) and 0))
"""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_training_of_a_recipe_saves_before_it_ends(
    jobs: int, signum: int, code: int, rendered: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", CODE, str(tmp_path), str(rendered), str(jobs)]
    process = subprocess.Popen(
        words, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    logs = [tmp_path / name / "version_0" / "metrics.csv" for name in "ab"[:jobs]]
    deadline = time.monotonic() + 90
    while not all(log.is_file() and len(log.read_text().splitlines()) > 10 for log in logs):
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # A terminal's Ctrl-C is sent to all processes, `kill` only to the recipe.
    os.killpg(process.pid, signum) if signum == signal.SIGINT else process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code, said[-3000:]
    assert "Traceback" not in said
    for log in logs:
        last = torch.load(log.parent / "checkpoints" / "last.ckpt", weights_only=True)
        assert f"stopped at step {last['global_step']}, saved" in said
        assert last["global_step"] >= 4
