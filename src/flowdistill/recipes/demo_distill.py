"""`make demo-distill`: does DDFlow's student beat its teacher on occluded pixels? Both, and a control, by seed.

OUTPUT/seedN/data/                                       rendered scenes with large occlusions
OUTPUT/seedN/photometric/ census/                        the teacher's runs
OUTPUT/seedN/student/ joint/ control/                    runs that start from it; joint trains the teacher along
OUTPUT/seedN/predictions/MODEL/                          KITTI files and colour pictures of the validation scenes
OUTPUT/seedN/errors.json overview.png
OUTPUT/table.md                                          over all finished seeds
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import mean

from flowdistill.data.notes import note
from flowdistill.formats import write_image
from flowdistill.recipes.commands import VAL_SPLIT, check_folder, fit, predict, render
from flowdistill.recipes.overview import error_map, left, motion, occluded, overview
from flowdistill.recipes.report import Scores, shows, spread, table_over_seeds, verdict
from flowdistill.recipes.scores import ZERO, baselines, predictions, rendered_scenes, score
from flowdistill.recipes.side_by_side import side_by_side

# Every second time step of the scenes: twice the motion, 1.5 times the occluded pixels.
RENDERING = "--scenes 256 --frames 3 --stride 2 --size 96x192 --layout kitti2015"
BATCH = ["--data.init_args.batch_size", "4"]
STAGES = ("photometric", "census", "student", "joint", "control")
CONFIGS = {stage: f"configs/demo/distill/{stage}.yaml" for stage in STAGES}
STUDENT = "student (stage 3)"
TEACHER, CONTROL = "teacher (stages 1 and 2)", "control (stage 2 goes on)"
JOINT_STUDENT, JOINT_TEACHER = "student of a teacher in training", "teacher in training"
#: Predictions -> their name in the table.
COMPARED = {
    "census": TEACHER, "control": CONTROL, "student": STUDENT, "joint": JOINT_STUDENT, "joint_teacher": JOINT_TEACHER,
}  # fmt: skip
#: Predictions -> their columns' name in overview.png.
COLUMNS = {"census": "teacher", "joint": "joint student", "joint_teacher": "joint teacher"}


def run_demo_distill(output: Path, seeds: list[int]) -> bool:
    """Run all seeds into `output`; return False if the paper's claim is not supported. Finished parts are skipped.

    A single seed has no spread, and is not a failure.

    Raises:
        UserError: a config or split is missing, or a command failed.
    """
    check_folder("demo-distill", list(CONFIGS.values()))
    # With one seed, its students and control train in parallel; with several, the seeds do.
    side_by_side({f"seed{seed}": partial(_train_seed, output / f"seed{seed}", seed) for seed in seeds})
    for seed in seeds:
        _score_seed(output / f"seed{seed}")
    scores = finished(output)
    text = table(scores)
    (output / "table.md").write_text(text)
    print(text)
    supported, sentences = claim(scores)
    print(sentences)
    return supported or len(scores) == 1


def finished(output: Path) -> dict[int, Scores]:
    """Return the errors of all finished seeds; those of an earlier version, with fewer methods, are left out."""
    scores: dict[int, Scores] = {
        int(path.parent.name.removeprefix("seed")): json.loads(path.read_text())
        for path in sorted(output.glob("seed*/errors.json"))
    }
    older = [seed for seed, rows in scores.items() if not set(COMPARED.values()) <= set(rows)]
    for seed in older:
        note(f"{output}/seed{seed} is of an earlier version and left out; it is completed by --seeds {seed}")
    return {seed: rows for seed, rows in scores.items() if seed not in older}


def _train_seed(output: Path, seed: int) -> None:
    started = time.monotonic()
    data = output / "data"
    render(data, f"{RENDERING} --seed {seed}")
    first = fit(output / "photometric", CONFIGS["photometric"], data, seed, BATCH)
    teacher = fit(output / "census", CONFIGS["census"], data, seed, [*BATCH, *_start(first)])
    taught = ["--model.init_args.teacher.init_args.checkpoint", str(teacher)]
    options = {run: [*_start(teacher), *taught] for run in ("joint", "student")} | {
        "control": _start(teacher)
    }
    trained = side_by_side(
        {
            run: partial(fit, output / run, CONFIGS[run], data, seed, [*BATCH, *more])
            for run, more in options.items()
        }
    )
    for run, checkpoint in {"census": teacher, **trained}.items():
        predict(CONFIGS["census"], data, checkpoint, output / "predictions" / run)
    teacher_too = ["--model.init_args.teacher.init_args.evaluated", "teacher"]
    predict(CONFIGS["joint"], data, trained["joint"], output / "predictions" / "joint_teacher", teacher_too)
    print(f"seed {seed}: trained after {(time.monotonic() - started) / 60:.1f} minutes", flush=True)


def _score_seed(output: Path) -> None:
    val = rendered_scenes(output / "data", VAL_SPLIT, "flow")
    folders = {run: output / "predictions" / run for run in COMPARED}
    scores: Scores = {ZERO: score(val, baselines(val)[ZERO])}
    scores |= {COMPARED[run]: score(val, predictions(folder)) for run, folder in folders.items()}
    named = {COLUMNS.get(run, run): folder for run, folder in folders.items()}
    columns = {
        "left_t0": left,
        "occluded": occluded,
        "true flow": motion("flow"),
        **{name: motion("flow", folder) for name, folder in named.items()},
        **{f"{name}'s error": error_map(folder, "flow_error") for name, folder in named.items()},
    }
    write_image(output / "overview.png", overview(val, columns))
    (output / "errors.json").write_text(json.dumps(scores, indent=2))


def _start(checkpoint: Path) -> list[str]:
    return ["--model.init_args.init_from", str(checkpoint)]


def table(scores: Mapping[int, Scores]) -> str:
    """Return Markdown: one row per seed and method, then the means over the seeds."""
    columns = {"epe_all": "EPE all", "epe_noc": "noc", "epe_occ": "occ"}
    return table_over_seeds(scores, columns, {"mean": mean})


def claim(scores: Mapping[int, Scores]) -> tuple[bool, str]:
    """Return whether the paper's claim is supported, and a sentence per comparison.

    On occluded pixels, the student's error must be lower than the teacher's and the control's by more than the spread
    over the seeds. Each seed has its own scenes, so errors are compared within a seed, as the student's relative
    reduction. The same comparisons for the student of a teacher in training follow, and do not count.
    """
    supported, sentences = True, []
    for student, others in (
        (STUDENT, (TEACHER, CONTROL)),
        (JOINT_STUDENT, (TEACHER, CONTROL, JOINT_TEACHER)),
    ):
        for other in others:
            gains = [1 - rows[student]["epe_occ"] / rows[other]["epe_occ"] for rows in scores.values()]
            supported = supported and (student != STUDENT or shows(gains))
            sentences.append(
                f"occluded pixels, {student} against {other}: EPE {100 * mean(gains):.1f} % lower "
                f"(mean of {len(gains)} seeds, spread {100 * spread(gains):.1f}): {verdict(gains)}"
            )
    return supported, "\n".join(sentences)
