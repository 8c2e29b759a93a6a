"""configs/data/augment on top of a data config: both models train on its samples."""

from pathlib import Path

import pytest

from flowdistill.cli.lightning import main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("model", "view"), [("ddflow", "flow"), ("dwarf", "scene_flow")])
def test_strong_augmentation_trains(
    model: str, view: str, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    configs = (
        f"configs/demo/{model}.yaml",
        "configs/data/rendered.yaml",
        f"configs/data/augment/{view}.yaml",
        "configs/trainer/cpu.yaml",
    )
    command = ["fit", *(part for config in configs for part in ("--config", config))]
    command += ["--data.init_args.root", str(rendered), "--data.init_args.num_workers", "1",
                "--data.init_args.batch_size", "2", f"--data.init_args.{view}.crop", "[64, 128]",
                "--model.init_args.width", "0.125", "--trainer.max_steps", "2", "--trainer.limit_val_batches", "0",
                "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false",
                "--trainer.logger.init_args.save_dir", str(tmp_path)]  # fmt: skip
    for split in ("train", "val"):
        command += [f"--data.init_args.{view}.{split}_split", str(rendered / f"{split}.txt")]
    assert main(command) == 0
    written = next(tmp_path.rglob("config.yaml")).read_text()
    assert "max_stretch: 1.15" in written
    assert "max_noise_std: 0.04" in written


def test_the_wrong_view_is_named(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    configs = ("configs/demo/dwarf.yaml", "configs/data/rendered.yaml", "configs/trainer/cpu.yaml")
    command = ["fit", *(part for config in configs for part in ("--config", config))]
    command += ["--data.init_args.root", str(rendered), "--data.init_args.scene_flow.preset", "ddflow"]
    command += ["--trainer.logger.init_args.save_dir", str(tmp_path)]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "data.init_args.scene_flow.flips: a left-right flip would swap the cameras" in error
