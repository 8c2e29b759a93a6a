"""Metrics of training and of file evaluation share one core: the same integers on one process and on two."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devkit_scenes import DEVKIT, SCENES, official
from torch import Tensor, distributed, multiprocessing

from flowdistill.evaluation.kitti.files import MOTIONS, find_files
from flowdistill.evaluation.kitti.fill import fill_missing
from flowdistill.evaluation.kitti.images import evaluate_images, pool
from flowdistill.formats import read_kitti_disparity, read_kitti_flow, read_object_map
from flowdistill.metrics import SCENE_FLOW_KEYS, EndPointError, OutlierRate, SceneFlowOutlierRate

KEYS = dict(zip(MOTIONS, SCENE_FLOW_KEYS, strict=True))
UNFILLED = {"disp_0": -1, "disp_1": -1, "flow": 0}
CLASSES = ("all", "bg", "fg")


def tensor(array: np.ndarray) -> Tensor:
    """(H, W, C) -> (1, C, H, W), (H, W) -> (1, 1, H, W)."""
    return torch.from_numpy(np.array(np.atleast_3d(array))).permute(2, 0, 1)[None]


def batch(scene: str) -> dict[str, dict[str, Tensor]]:
    """Filled prediction, ground truth, valid and valid_noc of a scene, each by motion, as in training."""
    parts: dict[str, dict[str, Tensor]] = {"prediction": {}, "truth": {}, "valid": {}, "noc": {}}
    for motion, key in KEYS.items():
        read = read_kitti_flow if motion == "flow" else read_kitti_disparity
        template = "flow_{}" if motion == "flow" else f"disp_{{}}_{motion[-1]}"
        truth, valid = read(DEVKIT / "gt" / template.format("occ") / f"{scene}.png")
        _, noc = read(DEVKIT / "gt" / template.format("noc") / f"{scene}.png")
        filled, _ = fill_missing(*read(DEVKIT / "pred" / motion / f"{scene}.png"), UNFILLED[motion])
        for part, array in zip(parts, (filled, truth, valid, noc), strict=True):
            parts[part][key] = tensor(array)
    return parts


def training_numbers(scenes: list[str]) -> dict[str, Any]:
    """Outliers and pixels of `all` and `noc` for every motion and class, and mean errors as exact texts."""
    counts = {
        (motion, name): SceneFlowOutlierRate() if motion == "scene_flow" else OutlierRate()
        for motion in (*MOTIONS, "scene_flow")
        for name in CLASSES
    }
    errors = {motion: EndPointError() for motion in MOTIONS}
    for scene in scenes:
        parts = batch(scene)
        foreground = tensor(read_object_map(DEVKIT / "gt" / "obj_map" / f"{scene}.png")) != 0
        for (motion, name), metric in counts.items():
            of_class = {"all": torch.ones_like(foreground), "bg": ~foreground, "fg": foreground}[name]
            masks = [{key: mask & of_class for key, mask in parts[kind].items()} for kind in ("valid", "noc")]
            inputs = [parts["prediction"], parts["truth"], *masks]
            metric.update(*(inputs if motion == "scene_flow" else [part[KEYS[motion]] for part in inputs]))
        for motion, error in errors.items():
            error.update(*[part[KEYS[motion]] for part in parts.values()])
    numbers: dict[str, Any] = {}
    for (motion, name), metric in counts.items():
        with metric.sync_context(should_sync=distributed.is_initialized()):
            numbers[f"{motion} {name}"] = [metric.total.tolist(), metric.pixels.tolist()]
    for motion, error in errors.items():
        means = error.compute()
        numbers[f"{motion} epe"] = [float(means[name]).hex() for name in ("all", "noc")]
    return numbers


def official_numbers() -> Iterator[tuple[str, list[list[int]]]]:
    blocks = official()["pooled"]
    for motion in (*MOTIONS, "scene_flow"):
        for name in CLASSES:
            both = [blocks[f"{motion}_{occlusion}"][name] for occlusion in ("occ", "noc")]
            yield f"{motion} {name}", [[block[key] for block in both] for key in ("errors", "pixels")]


def work(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    numbers = training_numbers(SCENES[:1] if rank == 0 else SCENES[1:])
    (Path(folder) / f"{rank}.json").write_text(json.dumps(numbers))
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The numbers of one process, then those of each of two processes after reduction."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")
        multiprocessing.spawn(work, (port, str(folder)), nprocs=2)
    both = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    return [training_numbers(SCENES), *both]


def test_training_counts_what_the_official_tool_counts(found: list[dict[str, Any]]) -> None:
    for numbers in found:
        for name, stated in official_numbers():
            assert numbers[name] == stated, name


def test_training_and_evaluation_have_the_same_end_point_error(found: list[dict[str, Any]]) -> None:
    """Bitwise equal, on one process and on two."""
    pooled = pool(evaluate_images(find_files(DEVKIT / "pred", DEVKIT / "gt")))
    for motion in MOTIONS:
        means = [pooled[f"{motion}_{occlusion}"].end_point_error for occlusion in ("occ", "noc")]
        assert None not in means
        assert [numbers[f"{motion} epe"] for numbers in found] == [[mean.hex() for mean in means if mean]] * 3
