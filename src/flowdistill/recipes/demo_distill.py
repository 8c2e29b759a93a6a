"""`make demo-distill`: does DDFlow's student see what its teacher cannot? Teacher, student and a control, seed by seed.

OUTPUT/seedN/data/                                       rendered scenes with large occlusions
OUTPUT/seedN/photometric/ census/ student/ control/      the runs; census is the teacher
OUTPUT/seedN/predictions/MODEL/                          KITTI files and colour pictures of the validation scenes
OUTPUT/seedN/scores.json overview.png
OUTPUT/table.md                                          over all seeds that are done
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

from flowdistill.data import KittiDataset, read_split
from flowdistill.formats import write_image
from flowdistill.recipes.commands import VAL_SPLIT, check_folder, fit, predict, render
from flowdistill.recipes.distill_report import CONTROL, STUDENT, TEACHER, Scores, claim, overview, table
from flowdistill.recipes.scores import read_motion, score, zero_motion
from flowdistill.recipes.side_by_side import side_by_side

# Every second moment of the scenes: twice the motion, half as much again is occluded.
RENDERING = "--scenes 256 --frames 3 --stride 2 --size 96x192 --layout kitti2015"
BATCH = ["--data.init_args.batch_size", "4"]
CONFIGS = {
    stage: f"configs/demo/distill/{stage}.yaml" for stage in ("photometric", "census", "student", "control")
}
#: Run -> its name in the table.
COMPARED = {"census": TEACHER, "control": CONTROL, "student": STUDENT}


def run_demo_distill(output: Path, seeds: list[int]) -> bool:
    """Run all seeds into `output`; returns false if the paper's claim does not show. What is done is not redone.

    One seed alone has no spread to be judged by, and is no failure.

    Raises:
        UserError: not started in the repository's root, or one of its commands failed.
    """
    check_folder("demo-distill", list(CONFIGS.values()))
    # With one seed, its student and control train side by side; with several, the seeds do.
    side_by_side({f"seed{seed}": partial(_train_seed, output / f"seed{seed}", seed) for seed in seeds})
    for seed in seeds:
        _score_seed(output / f"seed{seed}")
    scores = {
        int(path.parent.name.removeprefix("seed")): json.loads(path.read_text())
        for path in sorted(output.glob("seed*/scores.json"))
    }
    text = table(scores)
    (output / "table.md").write_text(text)
    print(text)
    shown, verdict = claim(scores)
    print(verdict)
    return shown or len(scores) == 1


def _train_seed(output: Path, seed: int) -> None:
    started = time.monotonic()
    data = output / "data"
    render(data, f"{RENDERING} --seed {seed}")
    first = fit(output / "photometric", CONFIGS["photometric"], data, seed, BATCH)
    teacher = fit(output / "census", CONFIGS["census"], data, seed, [*BATCH, *_start(first)])
    taught = ["--model.init_args.teacher.init_args.checkpoint", str(teacher)]
    options = {"student": [*_start(teacher), *taught], "control": _start(teacher)}
    trained = side_by_side(
        {
            run: partial(fit, output / run, CONFIGS[run], data, seed, [*BATCH, *more])
            for run, more in options.items()
        }
    )
    for run, checkpoint in {"census": teacher, **trained}.items():
        predict(CONFIGS["census"], data, checkpoint, output / "predictions" / run)
    print(f"seed {seed}: trained after {(time.monotonic() - started) / 60:.1f} minutes", flush=True)


def _score_seed(output: Path) -> None:
    val = KittiDataset(str(output / "data"), read_split(VAL_SPLIT), "flow", labels=True)
    scores: Scores = {"zero motion": score(val, zero_motion)}
    for run in ("census", "control", "student"):
        scores[COMPARED[run]] = score(val, partial(read_motion, output / "predictions" / run))
    write_image(output / "overview.png", overview(val, output / "predictions"))
    (output / "scores.json").write_text(json.dumps(scores, indent=2))


def _start(checkpoint: Path) -> list[str]:
    return ["--model.init_args.init_from", str(checkpoint)]
