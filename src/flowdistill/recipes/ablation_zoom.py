"""`make ablation RELEASED_ZOOM=1`: what the released code's zoom of sparse labels does to Gt.

KITTI's ground truth covers a part of the pixels, that of the ablation's rendered scenes all of them. Here the training
labels are thinned to `KEPT` of the pixels, at random, and Gt is trained on them with the nearest label (ours) and with
the released averages (`sparse_zoom: released`). Evaluation has all pixels.

OUTPUT/seedN/data/ sparse/         the ablation's scenes; links to them, with thinned training labels
OUTPUT/seedN/gt_sparse/ gt_released/   the runs; zoom_start/: scores before adaptation
OUTPUT/zoom.md zoom.json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np

from flowdistill.data import read_split
from flowdistill.errors import UserError
from flowdistill.formats import (
    read_kitti_disparity,
    read_kitti_flow,
    write_atomically,
    write_kitti_disparity,
    write_kitti_flow,
)
from flowdistill.recipes.ablation import Ablation, adapt, once, predicted, rendering
from flowdistill.recipes.ablation_report import COLUMNS, START
from flowdistill.recipes.commands import (
    check_folder,
    render,
)
from flowdistill.recipes.report import Scores, spread, table_over_seeds
from flowdistill.recipes.side_by_side import side_by_side

KEPT = 0.2  # share of pixels with a label, of the order of KITTI's
ZOOM = "configs/dwarf/patch/released_zoom.yaml"
NEAREST, RELEASED = "Gt, thinned labels, nearest", "Gt, thinned labels, released zoom"
#: Run -> its name in the table, additional configs.
RUNS = {"gt_sparse": (NEAREST, ()), "gt_released": (RELEASED, (ZOOM,))}
_FLOW, _DISPARITY = ("flow_occ", "flow_noc"), ("disp_occ_0", "disp_noc_0", "disp_occ_1", "disp_noc_1")


def run_zoom_comparison(
    output: Path, checkpoint: Path, seeds: Sequence[int], jobs: int = 1, ablation: Ablation | None = None
) -> str:
    """Train and score both runs for every seed; print and return the table. Finished parts are skipped.

    Args:
        output: output folder, which may be that of the ablation.
        checkpoint: the pre-trained DWARF that every run starts from.
        seeds: seeds of the data, the mask and the sample order.
        jobs: number of parallel runs.
        ablation: by default, that of `make ablation`.

    Raises:
        UserError: a config, a split or the checkpoint is missing, or a command failed.
    """
    what = ablation or Ablation()
    check_folder("ablation", [what.model, what.data, ZOOM, *what.splits.values()])
    if not checkpoint.is_file():
        raise UserError(f"--checkpoint: there is no file {checkpoint}")
    folders = {seed: output / f"seed{seed}" for seed in seeds}
    for seed, folder in folders.items():
        render(folder / "data", rendering(what, seed))
        thin(folder / "data", folder / "sparse", [entry.id for entry in read_split(what.splits["gt"])], seed)
    fits = {
        f"seed{seed}/{name}": partial(_fit, what, folder, name, seed, checkpoint)
        for seed, folder in folders.items()
        for name in RUNS
    }
    trained = side_by_side(fits, jobs)
    scores: dict[int, Scores] = {}
    for seed, folder in folders.items():
        weights = {"zoom_start": checkpoint, **{name: trained[f"seed{seed}/{name}"] for name in RUNS}}
        titles = {"zoom_start": START, **{name: title for name, (title, _) in RUNS.items()}}
        scores[seed] = {}
        for name, file in weights.items():
            compute = partial(predicted, what, folder / "data", file, folder / name, titles[name])
            scores[seed] |= once(folder / name, [folder / "data.done", file], compute)
    text = table(scores)
    write_atomically(output / "zoom.json", json.dumps(scores, indent=2).encode())
    write_atomically(output / "zoom.md", text.encode())
    print(text)
    return text


def table(scores: Mapping[int, Scores]) -> str:
    """Return Markdown: one row per seed and run, then the means and spreads over several seeds."""
    columns = {key: f"{title} {unit}" for key, (title, unit) in COLUMNS.items()}
    over: dict[str, Callable[[list[float]], float]] = (
        {"mean": mean, "spread": spread} if len(scores) > 1 else {}
    )
    return table_over_seeds(scores, columns, over)


def thin(data: Path, sparse: Path, ids: Sequence[str], seed: int) -> None:
    """Create a data folder that links to another in KITTI's layout, except for these ids' thinned labels.

    Args:
        data: folder of the original.
        sparse: folder to create; finished ones are kept.
        ids: samples whose labels keep a random `KEPT` of their pixels, the same ones in every file.
        seed: of the masks.
    """
    done = sparse.parent / f"{sparse.name}.done"
    settings = json.dumps({"ids": list(ids), "seed": seed, "kept": KEPT})
    if done.is_file() and done.read_text() == settings:
        return
    for folder in sorted((data / "training").iterdir()):
        target = sparse / "training" / folder.name
        target.mkdir(parents=True, exist_ok=True)
        thinned = {f"{id_}.png" for id_ in ids} if folder.name in (*_FLOW, *_DISPARITY) else set()
        for file in sorted(folder.iterdir()):
            link = target / file.name
            link.unlink(missing_ok=True)
            if file.name not in thinned:
                link.symlink_to(file.resolve())
                continue
            flow = folder.name in _FLOW
            values, valid = read_kitti_flow(file) if flow else read_kitti_disparity(file)
            mask = np.random.default_rng([seed, ids.index(file.stem)]).random(valid.shape) < KEPT
            write = write_kitti_flow if flow else write_kitti_disparity
            write(link, values, valid & mask)
    write_atomically(done, settings.encode())


def _fit(what: Ablation, folder: Path, name: str, seed: int, checkpoint: Path) -> Path:
    made = [folder / "data.done", folder / "sparse.done"]
    patches = RUNS[name][1]
    return adapt(what, folder / name, folder / "sparse", what.splits["gt"], seed, checkpoint, made, patches)
