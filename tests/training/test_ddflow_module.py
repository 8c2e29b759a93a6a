"""DDFlowModule on rendered data through a real Trainer."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from flowdistill.data import MotionDataModule, View
from flowdistill.errors import UserError
from flowdistill.losses import occlusion_masks, photometric_losses
from flowdistill.training import DDFlowModule, NonFiniteLossError
from small_trainer import trainer


def datamodule(root: Path, **options: Any) -> MotionDataModule:
    view = View(train_split=str(root / "train.txt"), val_split=str(root / "val.txt"))
    defaults: dict[str, Any] = {"flow": view, "batch_size": 2, "num_workers": 0}
    return MotionDataModule("kitti2015", root=str(root), **(defaults | options))


def module(**options: Any) -> DDFlowModule:
    pl.seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {"losses": {"abs_robust_mean_no_occlusion": 1.0}, "width": 0.25}
    return DDFlowModule(**(defaults | options))


def test_training_lowers_the_loss_and_validation_logs_what_it_says(rendered: Path, tmp_path: Path) -> None:
    model = module(learning_rate=5e-4)
    losses = []

    class Record(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            losses.append(float(trainer.callback_metrics["train/loss"]))

    fit = trainer(tmp_path, 40, callbacks=[Record()])
    fit.fit(model, datamodule(rendered))
    assert sum(losses[-8:]) < 0.97 * sum(losses[:8])
    logged = fit.callback_metrics
    for name in (
        "epe_all",
        "epe_noc",
        "epe_occ",
        "fl_all",
        "occlusion_recall",
        "census",
        "census_zero_motion",
    ):
        assert torch.isfinite(logged[f"val/{name}"]), name
    assert 0 <= logged["train/occluded_share"] <= 1
    # Unwarped images match only where nothing moves: the census of zero motion is not 0.
    assert logged["val/census_zero_motion"] > 1


def test_the_loss_is_the_weighted_sum_of_the_reference_terms(rendered: Path, tmp_path: Path) -> None:
    weights = {"abs_robust_mean_occlusion": 0.5, "census_occlusion": 2.0, "census_no_occlusion": 0.0}
    model = module(losses=weights)
    assert set(model.losses) == {"abs_robust_mean_occlusion", "census_occlusion"}
    data = datamodule(rendered)
    fit = trainer(tmp_path, 1)
    seen: list[dict[str, Any]] = []
    original = model.training_step

    def spy(batch: Any, batch_idx: int) -> torch.Tensor:
        with torch.no_grad():
            forward, backward = model.network(batch["left_t0"], batch["left_t1"])
            occluded = occlusion_masks(forward.full, backward.full)
            terms = photometric_losses(
                batch["left_t0"], batch["left_t1"], forward.full, backward.full, *occluded
            )
        loss = original(batch, batch_idx)
        seen.append({"loss": loss.item(), "expected": sum(w * terms[k].item() for k, w in weights.items())})
        return loss

    model.training_step = spy
    fit.fit(model, data)
    assert seen[0]["loss"] == pytest.approx(seen[0]["expected"], rel=1e-5)


def test_start_chooses_the_extractor_s_first_weights() -> None:
    linear, xavier = module(initialization="linear"), module()
    grey = torch.full((1, 3, 64, 64), 0.5)
    with torch.no_grad():
        # A linear start maps grey to nothing; Xavier's does not.
        inner = (..., slice(4, -4), slice(4, -4))
        assert linear.network.extractor(grey)[1][inner].abs().max() < 1e-5
        assert xavier.network.extractor(grey)[1][inner].abs().max() > 1e-3
    assert linear.hparams["initialization"] == "linear"


def test_learning_rate_halves_at_the_given_steps(rendered: Path, tmp_path: Path) -> None:
    model = module(learning_rate=8e-4, halve_at=[2, 4])
    rates = []

    class Record(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    trainer(tmp_path, 6, callbacks=[Record()], limit_val_batches=0).fit(model, datamodule(rendered))
    assert rates == pytest.approx([8e-4, 8e-4, 4e-4, 4e-4, 2e-4, 2e-4])


def test_a_non_finite_loss_stops_the_run_and_names_the_samples(rendered: Path, tmp_path: Path) -> None:
    model = module()
    with torch.no_grad():
        model.network.context[0].weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteLossError, match=r"not finite at step 0") as error:
        trainer(tmp_path, 3).fit(model, datamodule(rendered))
    named = [part for part in str(error.value).split() if part.startswith("00000")]
    assert len(named) == 2


@pytest.mark.parametrize(
    ("losses", "text"),
    [({"census": 1.0}, "unknown term 'census'"), ({"census_occlusion": -1.0}, "must be 0 or more"),
     ({"census_occlusion": 0.0}, "nothing to train on"), ({"census_occlusion": float("nan")}, "finite, got nan")],
)  # fmt: skip
def test_wrong_weights_are_refused(losses: dict[str, float], text: str) -> None:
    with pytest.raises(UserError, match=text):
        DDFlowModule(losses=losses, width=0.25)


def test_unlabeled_frames_train_and_validate_on_one_camera(rendered: Path, tmp_path: Path) -> None:
    """Only image_2 is needed; metrics are computed from the images alone."""
    root = tmp_path / "frames"
    (root / "training").mkdir(parents=True)
    (root / "training" / "image_2").symlink_to(rendered / "training" / "image_2")
    data = datamodule(root, flow=View(train_split="scan", val_split="scan"), val_labels=False)
    fit = trainer(tmp_path, 2)
    fit.fit(module(losses={"census_occlusion": 1.0}), data)
    assert torch.isfinite(fit.callback_metrics["val/census"])
    assert "val/epe_all" not in fit.callback_metrics


def test_resume_goes_on_with_the_samples_and_the_step(rendered: Path, tmp_path: Path) -> None:
    """Four steps in one run, or two and two: the same samples in the same order, and the same weights."""
    orders: list[list[str]] = []

    class Names(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, index: int) -> None:
            orders[-1] += batch["name"]

    def run(steps: int, checkpoint: str | None, save: str) -> DDFlowModule:
        model = module(learning_rate=1e-3)
        fit = trainer(tmp_path, steps, callbacks=[Names()], limit_val_batches=0)
        fit.fit(model, datamodule(rendered), ckpt_path=checkpoint)
        fit.save_checkpoint(tmp_path / save)
        return model

    orders.append([])
    whole = run(4, None, "whole.ckpt")
    orders.append([])
    run(2, None, "half.ckpt")
    resumed = run(4, str(tmp_path / "half.ckpt"), "resumed.ckpt")
    assert orders[0] == orders[1]
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
