"""Shared by all tests: one thread per process, and a small rendered data set in KITTI's layout."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
# Read when a kernel is defined: without a GPU, Triton's interpreter runs the kernels that a test requests.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")


def pytest_configure(config: pytest.Config) -> None:
    # Lightning on too few workers, too few batches, no logger: true of tiny test runs. Not in pyproject.toml: pytest
    # imports the class, and with it Triton, before it reads this file.
    config.addinivalue_line(
        "filterwarnings", "ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning"
    )


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
