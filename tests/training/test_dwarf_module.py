"""DwarfModule on rendered data through a real Trainer, and init_from between stages."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from flowdistill.data import MotionDataModule, View
from flowdistill.errors import UserError
from flowdistill.losses import Schedule, dwarf_kitti_loss, squared_weights
from flowdistill.training import DDFlowModule, DwarfModule
from small_trainer import Recorder, trainer

ALPHAS = {2: 0.005, 3: 0.01, 4: 0.02, 5: 0.08, 6: 0.32}


def datamodule(root: Path, **view: Any) -> MotionDataModule:
    chosen = View(train_split=str(root / "train.txt"), val_split=str(root / "val.txt"), **view)
    return MotionDataModule(
        "kitti2015", root=str(root), flow=chosen, scene_flow=chosen, batch_size=2, num_workers=0
    )


def module(**options: Any) -> DwarfModule:
    pl.seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {
        "loss": "dense_multilevel",
        "alphas": ALPHAS,
        "l2_weight": 1e-5,
        "width": 0.125,
    }
    return DwarfModule(**(defaults | options))


def test_training_lowers_the_loss_and_validation_has_every_metric(rendered: Path, tmp_path: Path) -> None:
    losses = []

    class Record(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            losses.append(float(trainer.callback_metrics["train/data_loss"]))

    fit = trainer(tmp_path, 30, callbacks=[Record()])
    fit.fit(module(learning_rate=1e-3), datamodule(rendered))
    assert sum(losses[-6:]) < 0.9 * sum(losses[:6])
    expected = {"val/epe_all", "val/epe_noc", "val/fl_all", "val/disparity_t0_epe_all", "val/d1_all",
                "val/disparity_t1_epe_all", "val/d2_all", "val/sf_all"}  # fmt: skip
    assert expected <= set(fit.callback_metrics)
    assert all(torch.isfinite(fit.callback_metrics[name]) for name in expected)
    for level in (2, 3, 4, 5, 6):
        assert f"train/level{level}/flow" in fit.callback_metrics


def test_the_kitti_loss_is_the_reference_loss_plus_decay(rendered: Path, tmp_path: Path) -> None:
    model = module(loss="sparse_full_resolution", alphas={2: 0.001}, l2_weight=0.0004)
    loader_batch: list[Any] = []
    losses: list[float] = []
    original = model.training_step

    def spy(batch: Any, batch_idx: int) -> torch.Tensor:
        loader_batch.append(batch)
        with torch.no_grad():
            output = model.network(*(batch[k] for k in ("left_t0", "right_t0", "left_t1", "right_t1")))
            names = ("flow", "disparity_t0", "disparity_t1")
            data = dwarf_kitti_loss(
                output.levels, *(batch[k] for k in names), *(batch[f"valid_{k}"] for k in names)
            )["data_loss"]
            expected = data + 0.0004 * squared_weights(model.network.parameters())
        loss = original(batch, batch_idx)
        losses.extend([loss.item(), expected.item()])
        return loss

    model.training_step = spy
    trainer(tmp_path, 1, limit_val_batches=0).fit(model, datamodule(rendered))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert loader_batch[0]["valid_flow"].dtype == torch.bool


def test_invalid_labels_do_not_teach(rendered: Path) -> None:
    """Garbage at invalid pixels changes neither loss: `mask` ignores it."""
    model = module()
    data = datamodule(rendered)
    data.trainer = trainer(rendered, 1)
    data.trainer.strategy.connect(model)
    batch = next(iter(data.train_dataloader()))
    output = model.network(*(batch[k] for k in ("left_t0", "right_t0", "left_t1", "right_t1")))
    hole = torch.zeros_like(batch["valid_flow"])
    hole[..., 10:30, 10:50] = True
    batch["valid_flow"] &= ~hole
    clean = model.data_loss(output, batch)["data_loss"]
    batch["flow"] = torch.where(hole, torch.full_like(batch["flow"], 1e6), batch["flow"])
    assert torch.equal(model.data_loss(output, batch)["data_loss"], clean)
    batch["valid_flow"] |= hole
    assert model.data_loss(output, batch)["data_loss"] > 10 * clean


def test_any_size_is_padded_for_prediction_and_refused_for_training(rendered: Path, tmp_path: Path) -> None:
    model = module().eval()
    images = [torch.rand(1, 3, 50, 120) for _ in range(4)]
    keys = ("left_t0", "right_t0", "left_t1", "right_t1")
    batch: Any = dict(zip(keys, images, strict=True)) | {"name": ["x"]}
    with torch.no_grad():
        found = model.predict_step(batch, 0)
    assert found["flow"].shape == (1, 2, 50, 120)
    assert found["disparity_t0"].shape == (1, 1, 50, 120)
    assert found["disparity_t0"].min() >= 0
    with pytest.raises(UserError, match=r"multiples of 64, got 60x100.*crop"):
        trainer(tmp_path, 1).fit(module(), datamodule(rendered, crop=(60, 100)))


def test_init_from_fills_the_network_and_says_so(
    rendered: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = module()
    fit = trainer(tmp_path, 1, limit_val_batches=0)
    fit.fit(first, datamodule(rendered))
    checkpoint = tmp_path / "first.ckpt"
    fit.save_checkpoint(checkpoint)
    second = module(
        loss="sparse_full_resolution", alphas={2: 0.001}, init_from=str(checkpoint), learning_rate=0.0
    )
    with caplog.at_level("INFO"):
        trainer(tmp_path, 1, limit_val_batches=0).fit(second, datamodule(rendered))
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    assert "filled all 246 tensors of Dwarf (encoder" in caplog.text
    assert f"from {checkpoint} (step 1): loss dense_multilevel, alphas {{2: 0.005" in caplog.text
    loaded = DwarfModule.load_from_checkpoint(
        checkpoint
    )  # hyper-parameters are restored, init_from is not read again
    assert loaded.network.width == 0.125


def test_a_resumed_run_does_not_need_the_earlier_stage(rendered: Path, tmp_path: Path) -> None:
    """Nor does an evaluation of its checkpoint; both have the run's own weights, not the earlier stage's."""
    stage, own = tmp_path / "stage.ckpt", tmp_path / "own.ckpt"
    fit = trainer(tmp_path, 1, limit_val_batches=0)
    fit.fit(module(), datamodule(rendered))
    fit.save_checkpoint(stage)
    options: dict[str, Any] = {"init_from": str(stage), "learning_rate": 1e-3}
    whole = module(**options)
    trainer(tmp_path, 2, limit_val_batches=0).fit(whole, datamodule(rendered))
    fit = trainer(tmp_path, 1, limit_val_batches=0)
    half = module(**options)
    fit.fit(half, datamodule(rendered))
    fit.save_checkpoint(own)
    stage.unlink()
    resumed, evaluated = module(**options), module(**options)
    trainer(tmp_path, 2, limit_val_batches=0).fit(resumed, datamodule(rendered), ckpt_path=str(own))
    trainer(tmp_path, 1).validate(evaluated, datamodule(rendered), ckpt_path=str(own), verbose=False)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
        assert torch.equal(half.network.state_dict()[name], evaluated.network.state_dict()[name]), name


def test_weights_follow_their_schedules(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Level 6 ends after two steps, level 3 starts; the decay ends; terms of weight 0 are not computed."""
    decayed: list[int] = []
    original = squared_weights

    def counted(parameters: Any) -> torch.Tensor:
        decayed.append(1)
        return original(parameters)

    monkeypatch.setattr("flowdistill.training.dwarf.squared_weights", counted)
    alphas = {2: 0.005, 3: Schedule([(1, 0.0), (3, 0.02)]), 6: Schedule([(0, 0.3), (2, 0.0)], "step"), 4: 0.0}
    model = module(alphas=alphas, l2_weight=Schedule([(0, 1e-5), (3, 0.0)], "step"))
    logged = Recorder()
    fit = trainer(tmp_path, 4, logger=logged, limit_val_batches=0)
    fit.fit(model, datamodule(rendered))
    levels = [
        {name[11] for name, value in step.items() if name.startswith("train/level") and value == value}
        for step in logged.steps
    ]
    assert all("train/level6/flow" in step for step in logged.steps)  # NaN where it is not computed
    assert levels == [{"2", "6"}, {"2", "6"}, {"2", "3"}, {"2", "3"}]
    weights = [{k: v for k, v in step.items() if k.startswith("weight/")} for step in logged.steps]
    assert weights[2] == pytest.approx(
        {"weight/alphas.2": 0.005, "weight/alphas.3": 0.01, "weight/alphas.6": 0.0, "weight/l2": 1e-5}
    )
    assert len(decayed) == 3
    fit.save_checkpoint(tmp_path / "scheduled.ckpt")
    loaded = DwarfModule.load_from_checkpoint(tmp_path / "scheduled.ckpt")
    assert loaded.alphas == model.alphas
    assert loaded.l2_weight == model.l2_weight


def test_init_from_refuses_what_does_not_fit(rendered: Path, tmp_path: Path) -> None:
    pl.seed_everything(0, verbose=False)
    other = DDFlowModule(losses={"census_occlusion": 1.0}, width=0.25)
    fit = trainer(tmp_path, 1, limit_val_batches=0)
    fit.fit(other, datamodule(rendered))
    checkpoint = tmp_path / "ddflow.ckpt"
    fit.save_checkpoint(checkpoint)
    garbage = tmp_path / "garbage.ckpt"
    garbage.write_bytes(b"not a checkpoint")
    for path, text in (
        (checkpoint, "does not fit Dwarf, nothing was loaded"),
        (garbage, "is not a checkpoint"),
        (tmp_path / "none.ckpt", "does not exist"),
    ):
        with pytest.raises(UserError, match=text):
            trainer(tmp_path, 1).fit(module(init_from=str(path)), datamodule(rendered))


def test_wrong_levels_are_refused() -> None:
    for alphas, text in (
        ({1: 1.0}, "levels are 2"),
        ({2: -1.0}, r"alphas\.2 must be 0 or more"),
        ({2: 0.0}, "alphas: every weight is 0"),
        ({3: Schedule([(5, 1.0), (5, 0.0)])}, r"alphas\.3\.knots\[1\]: steps must increase"),
    ):
        with pytest.raises(UserError, match=text):
            DwarfModule(loss="sparse_full_resolution", alphas=alphas, width=0.1)
    with pytest.raises(UserError, match=r"l2_weight\.knots\[0\] must be 0 or more"):
        DwarfModule(
            loss="sparse_full_resolution", alphas={2: 1.0}, l2_weight=Schedule([(0, -1.0)]), width=0.1
        )
