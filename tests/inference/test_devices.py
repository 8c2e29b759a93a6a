"""Device selection, tested without a GPU: ranks and their workers, pinned memory, Apple's GPU, no Triton."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from flowdistill.data import MotionDataModule
from flowdistill.errors import UserError
from flowdistill.in_order import in_order
from flowdistill.inference.load import choose_device
from flowdistill.processes import local_rank
from flowkernels.backend import OLDEST_TORCH
from small_trainer import small_ddflow


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


@pytest.mark.parametrize(
    ("rank", "device"), [(None, "cuda:0"), ("0", "cuda:0"), ("3", "cuda:3"), ("5", "cuda:1")]
)
def test_each_rank_has_its_own_gpu(
    four_gpus: None, monkeypatch: pytest.MonkeyPatch, rank: str | None, device: str
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert choose_device("auto") == choose_device("cuda") == torch.device(device)
    assert choose_device("cpu") == torch.device("cpu")


def rank_of(_: int) -> int:
    return local_rank()


def test_workers_are_of_their_ranks_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes of `labels make` are new interpreters: they open the teacher themselves."""
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert in_order(rank_of, [0, 1, 2], 2, "item", "ranks") == [2, 2, 2]


def test_a_rank_that_is_no_number_is_an_error(four_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "first")
    with pytest.raises(UserError, match="LOCAL_RANK is 'first'; torchrun sets it to a number"):
        choose_device("auto")


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="torch finds no usable GPU; use --device cpu"):
        choose_device("cuda")


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda", True), ("mps", False)])
def test_memory_is_pinned_for_a_gpu_alone(four_gpus: None, device: str, pinned: bool) -> None:
    """Also on a machine with GPUs when training on the CPU."""
    module = MotionDataModule("kitti2015", root=".")
    assert module._loader_options()["pin_memory"] is False
    module.trainer = cast(Any, SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device))))
    assert module._loader_options()["pin_memory"] is pinned


def test_apples_gpu_is_refused_in_one_line() -> None:
    module = small_ddflow()
    strategy = SimpleNamespace(root_device=torch.device("mps"))
    module._trainer = cast(Any, SimpleNamespace(strategy=strategy, precision="32-true", max_steps=1))
    with pytest.raises(UserError, match="device 'mps', on which training is not supported") as caught:
        module.setup("fit")
    assert "\n" not in str(caught.value)


WITHOUT_TRITON = """
import sys
sys.modules["triton"] = None  # as where it is not installed
import torch
import flowkernels
from flowdistill.losses import census_loss
from flowdistill.networks import DDFlowNet
print(flowkernels.backend("cuda"))
network = DDFlowNet(0.125)
image = torch.rand(1, 3, 64, 64)
forward, _ = network(image, image.roll(1, 3))
loss = forward.full.square().mean() + census_loss(image, image.roll(1, 3), torch.ones(1, 1, 64, 64))
loss.backward()
print(all(p.grad is not None for p in network.extractor.parameters()))
try:
    flowkernels.set_backend("triton")
    network(image, image)
except flowkernels.BackendError as error:
    print(error)
"""


def test_without_triton_everything_runs_and_says_so() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRITON], capture_output=True, text=True, check=False, env=environment,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, trained, refused = done.stdout.splitlines()
    assert said.startswith("torch (Triton is not installed")
    assert trained == "True"
    assert 'the backend "triton" was requested but cannot run here' in refused


def test_an_older_torch_is_an_error_at_import() -> None:
    code = "import torch; del torch.library.register_autocast; import flowkernels"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith(
        "ImportError: flowkernels needs torch 2.7 or newer, found "
    )
    requirements = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'"torch>={OLDEST_TORCH}"' in requirements
