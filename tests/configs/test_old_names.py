"""Options that were renamed are accepted under their old names, and a run of before is resumed."""

from pathlib import Path
from typing import Any

import pytest
import torch

from flowdistill import renamed
from flowdistill.cli.lightning import main, run_cli
from flowdistill.data import View
from flowdistill.errors import UserError
from flowdistill.training import DDFlowModule, DwarfModule
from flowdistill.training import base as training_base
from small_trainer import flow_data, small_ddflow, trainer

TRAINER = ["--config", "configs/trainer/cpu.yaml", "--trainer.max_steps", "1"]


@pytest.fixture(autouse=True)
def _unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renamed, "_said", set())


def test_a_config_of_before_builds_the_same_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """YAML and command line with every old name, beside the new ones."""
    old = tmp_path / "old.yaml"
    old.write_text(
        "model:\n  class_path: flowdistill.training.DwarfModule\n"
        "  init_args: {loss: kitti, alphas: {2: 0.001}, decay: 0.5, start: residual, width: 0.125}\n"
        "data:\n  class_path: flowdistill.data.MotionDataModule\n"
        "  init_args: {dataset: kitti2015, scene_flow: {zoom: 0.25, patches: 0.5, blur: 1.0}}\n"
    )
    words = ["fit", "--config", str(old), *TRAINER, "--data.init_args.scene_flow.noise", "0.125"]
    cli = run_cli(words, run=False)
    model, view = cli.model, cli.datamodule.views["scene_flow"]
    assert model.loss == "sparse_full_resolution"
    assert model.l2_weight.at(0) == 0.5
    assert (view.zoom_probability, view.erase_probability) == (0.25, 0.5)
    assert (view.max_blur_sigma, view.max_noise_std, view.zoom) == (1.0, 0.125, None)
    torch.manual_seed(0)
    new = DwarfModule(
        "sparse_full_resolution", {2: 0.001}, l2_weight=0.5, width=0.125, initialization="residual"
    )
    assert model.changed_settings({"hyper_parameters": dict(new.hparams)}) == []
    assert (model.hparams["initialization"], model.hparams["loss"]) == ("residual", "sparse_full_resolution")
    # The config that is saved has the old names that were used, and no others.
    saved = cli.config_dump
    assert saved["model"]["init_args"]["decay"] == 0.5
    assert set(saved["data"]["init_args"]["scene_flow"]) & set(renamed.AUGMENTATION) == {
        "zoom", "patches", "blur", "noise",
    }  # fmt: skip
    said = capsys.readouterr().err
    for name, now in {"decay": "l2_weight", "zoom": "zoom_probability", "noise": "max_noise_std"}.items():
        assert f"{name} is now called {now}" in said


def test_an_old_and_a_new_name_together_are_refused() -> None:
    with pytest.raises(UserError, match="decay is the old name of l2_weight"):
        DwarfModule("kitti", {2: 1.0}, l2_weight=0.1, decay=0.2, width=0.125)
    with pytest.raises(UserError, match="colour is the old name of colour_probability"):
        View("scan", colour=0.5, colour_probability=0.2)


@pytest.mark.parametrize(("plain", "released"), [
    ("census_visible", "census_occlusion"),
    ("census_all_pixels", "census_no_occlusion"),
    ("abs_robust_mean_visible", "abs_robust_mean_occlusion"),
    ("abs_robust_mean_all_pixels", "abs_robust_mean_no_occlusion"),
])  # fmt: skip
def test_plain_names_of_terms_are_the_released_terms(plain: str, released: str) -> None:
    from flowdistill.losses import photometric_losses

    images = torch.rand(2, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    flow = torch.full((1, 2, 16, 16), 0.75)
    occluded = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    occluded[..., :5] = True
    found = photometric_losses(*images, flow, -flow, occluded, occluded, terms=[plain, released])
    assert found[plain].item() == found[released].item() > 0
    assert set(found) == {plain, released}
    with pytest.raises(UserError, match=f"is another name of {released}"):
        DDFlowModule({plain: 1.0, released: 1.0}, width=0.125)


def test_a_run_of_before_resumes_under_the_new_names(rendered: Path, tmp_path: Path) -> None:
    """Its checkpoint has the old hyper-parameters, switches and terms; other values are still refused."""
    fit = trainer(tmp_path, 2, limit_val_batches=0)
    fit.fit(small_ddflow(losses={"census_no_occlusion": 1.0}), flow_data(rendered))
    path = tmp_path / "before.ckpt"
    fit.save_checkpoint(path)
    stored = torch.load(path, weights_only=True)
    settings: dict[str, Any] = stored["hyper_parameters"]
    settings["start"] = settings.pop("initialization")
    settings["blind_steps"] = settings.pop("max_fully_occluded_steps")
    torch.save(stored, path)
    again = trainer(tmp_path, 3, limit_val_batches=0)
    again.fit(small_ddflow(losses={"census_all_pixels": 1.0}), flow_data(rendered), ckpt_path=str(path))
    assert again.global_step == 3
    settings["blind_steps"] += 1
    torch.save(stored, path)
    with pytest.raises(UserError, match=r"max_fully_occluded_steps \(was 201, is 200\)"):
        trainer(tmp_path, 3).fit(
            small_ddflow(losses={"census_all_pixels": 1.0}), flow_data(rendered), ckpt_path=str(path)
        )


def test_the_record_of_a_recipes_training_is_compared_under_the_new_names() -> None:
    old = {
        "model": {"class_path": "x", "init_args": {"decay": 1, "loss": "kitti", "alphas": {2: 1}}},
        "data": {"init_args": {"flow": {"zoom": 0.5}, "options": {"noise": "x"}}},
        "trainer": {"max_steps": 3},
    }
    new = {
        "model": {
            "class_path": "x",
            "init_args": {"l2_weight": 1, "loss": "sparse_full_resolution", "alphas": {2: 1}},
        },
        "data": {"init_args": {"flow": {"zoom_probability": 0.5}, "options": {"noise": "x"}}},
        "trainer": {"max_steps": 3},
    }
    assert renamed.config(old) == renamed.config(new) == new


def test_names_that_moved_are_found_with_a_remark(capsys: pytest.CaptureFixture[str]) -> None:
    from flowdistill import interop, training
    from flowdistill.training.init_from import read_checkpoint

    assert interop.read_checkpoint is read_checkpoint
    assert training.BlindRunError is training.OcclusionCollapseError
    assert "is now flowdistill.training.init_from.read_checkpoint" in capsys.readouterr().err
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = interop.nothing_of_the_kind
    assert training_base.renamed is renamed


def test_help_still_works(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--model.help", "DwarfModule"])
    assert ended.value.code == 0
    assert "--model.l2_weight" in capsys.readouterr().out.replace("init_args.", "")
