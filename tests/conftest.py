"""Shared by all tests: options of the device and dtype, and a small rendered data set in KITTI's layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
# Read when a kernel is defined: without a GPU, Triton's interpreter runs the kernels that a test requests.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("flowdistill", "where the tests with a `device` and a `dtype` compute")
    group.addoption("--device", default="cpu", help="a torch device, such as cuda or cuda:1 (default: cpu)")
    group.addoption("--dtype", default="float32", choices=["float32", "float64"], help="default: float32")


def pytest_configure(config: pytest.Config) -> None:
    # Lightning on too few workers, too few batches, no logger: true of tiny test runs. Not in pyproject.toml: pytest
    # imports the class, and with it Triton, before it reads this file.
    config.addinivalue_line(
        "filterwarnings", "ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning"
    )


# Of the session, so that hypothesis accepts them: they hold for every example.
@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where a test builds its tensors: `--device`."""
    import torch

    return torch.device(request.config.getoption("--device"))


@pytest.fixture(scope="session")
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """What a test computes in: `--dtype`."""
    import torch

    found: torch.dtype = getattr(torch, request.config.getoption("--dtype"))
    return found


@pytest.fixture
def triton_backend() -> Iterator[None]:
    """Require Triton's kernels in this test: on a GPU, otherwise in Triton's interpreter."""
    import flowkernels

    flowkernels.set_backend("triton")
    yield
    flowkernels.set_backend("auto")


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes of three 64x128 frames: two for training, one for validation; with splits beside them."""
    from flowdistill.cli.flowdistill import main

    root: Path = tmp_path_factory.mktemp("rendered") / "data"
    arguments = ["--output", str(root), "--scenes", "3", "--frames", "3", "--size", "64x128", "--seed", "7"]
    assert main(["data", "render", *arguments, "--layout", "kitti2015"]) == 0
    (root / "train.txt").write_text("000000_00\n000000_01\n000001_00\n000001_01\n")
    (root / "val.txt").write_text("000002_00\n000002_01\n")
    return root
