"""TF32 is what the config says, whatever was set before."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import yaml

from flowdistill.training import Tf32

TRAINERS = Path(__file__).parents[2] / "configs" / "trainer"


@pytest.fixture(autouse=True)
def _flags() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    yield
    torch.backends.cudnn.allow_tf32 = before[0]
    torch.set_float32_matmul_precision(before[1])


@pytest.mark.parametrize("enabled", [False, True])
@pytest.mark.parametrize("before", ["highest", "high", "medium"])
def test_both_operations_follow_the_setting(enabled: bool, before: str) -> None:
    torch.set_float32_matmul_precision(before)
    torch.backends.cudnn.allow_tf32 = not enabled
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    Tf32(enabled).setup(trainer, pl.LightningModule(), "fit")
    assert torch.backends.cudnn.allow_tf32 is enabled
    assert torch.backends.cuda.matmul.allow_tf32 is enabled
    assert torch.get_float32_matmul_precision() == ("high" if enabled else "highest")


def test_after_a_setting_of_the_newer_kind_nothing_is_mixed() -> None:
    if not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip("this PyTorch has only the older settings")
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    Tf32(False).setup(None, None, "fit")  # type: ignore[arg-type]
    # Reading a mixture raises an error.
    assert torch.backends.cudnn.allow_tf32 is False
    assert torch.backends.cudnn.conv.fp32_precision != "tf32"
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"


@pytest.mark.parametrize("name", ["gpu", "ddp", "multi_node"])
def test_every_gpu_config_sets_it(name: str) -> None:
    callbacks = yaml.safe_load((TRAINERS / f"{name}.yaml").read_text())["trainer"]["callbacks"]
    (tf32,) = [entry for entry in callbacks if entry["class_path"] == "flowdistill.training.Tf32"]
    assert tf32["init_args"] == {"enabled": False}
