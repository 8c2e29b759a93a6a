"""Two real processes (gloo) with different images: bit-identical to the results of one process."""

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from flowdistill.metrics import (
    SCENE_FLOW_KEYS,
    EndPointError,
    OcclusionScores,
    OutlierRate,
    SceneFlowOutlierRate,
)

IMAGES, CUT = 7, 2  # the first process has 2 images, the second 5


def image(index: int) -> dict[str, dict[str, Tensor]]:
    """prediction, truth, valid and noc of one image, each by motion; a function of its index alone."""
    rng = np.random.default_rng(index)
    parts: dict[str, dict[str, Tensor]] = {"prediction": {}, "truth": {}, "valid": {}, "noc": {}}
    for key in SCENE_FLOW_KEYS:
        shape = (1, 2 if key == "flow" else 1, 13, 17)
        truth = torch.from_numpy(rng.normal(scale=30, size=shape).astype(np.float32))
        valid = torch.from_numpy(rng.random((1, 1, 13, 17)) < 0.6)
        error = torch.from_numpy(rng.lognormal(1, 1, size=shape).astype(np.float32))
        parts["prediction"][key] = truth + error
        parts["truth"][key] = torch.where(valid, truth, torch.nan)
        parts["valid"][key] = valid
        parts["noc"][key] = valid & torch.from_numpy(rng.random((1, 1, 13, 17)) < 0.5)
    return parts


def evaluate(indices: list[int]) -> dict[str, list[str]]:
    """All results and states as exact texts (hexadecimal for floats)."""
    metrics = {"epe": EndPointError(), "fl": OutlierRate(), "d1": OutlierRate(), "sf": SceneFlowOutlierRate()}
    occlusion = OcclusionScores()
    for index in indices:
        parts = image(index)
        flow = [parts[name]["flow"] for name in parts]
        metrics["epe"].update(*flow)
        metrics["fl"].update(*flow)
        metrics["d1"].update(*[parts[name]["disparity_t0"] for name in parts])
        metrics["sf"].update(*parts.values())
        occlusion.update(parts["noc"]["flow"], parts["noc"]["disparity_t0"], parts["valid"]["flow"])
    texts = {"occlusion": [f"{key} {float(value).hex()}" for key, value in occlusion.compute().items()]}
    for name, metric in metrics.items():
        texts[name] = [f"{key} {float(value).hex()}" for key, value in metric.compute().items()]
        with metric.sync_context(should_sync=distributed.is_initialized()):
            texts[name] += [str(metric.pixels.tolist()), str(metric.total.tolist())]
    return texts


def mixed_kinds(rank: int) -> str:
    """Only one process has masks of non-occluded pixels: each is consistent, but not both together."""
    metric = EndPointError()
    metric.update(*[part["flow"] for part in image(0).values()][: 3 + rank])
    try:
        return str(metric.compute())
    except ValueError as error:
        return str(error)


def work(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    results = {
        "numbers": evaluate(list(range(CUT) if rank == 0 else range(CUT, IMAGES))),
        "mixed": mixed_kinds(rank),
    }
    (Path(folder) / f"{rank}.json").write_text(json.dumps(results))
    distributed.destroy_process_group()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The results of each of the two processes."""
    folder = tmp_path_factory.mktemp("ranks")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")
        multiprocessing.spawn(work, (free_port(), str(folder)), nprocs=2)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_two_processes_give_the_numbers_of_one(results: list[dict[str, Any]]) -> None:
    alone = evaluate(list(range(IMAGES)))
    assert evaluate(list(range(CUT))) != alone  # the parts differ from the whole
    assert [result["numbers"] for result in results] == [alone, alone]


def test_processes_that_differ_in_kind_are_told(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert "valid_noc in every update or in none" in result["mixed"]
