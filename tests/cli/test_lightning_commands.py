"""The main workflow through the commands: configs compose, `fit` trains, `predict` writes KITTI's format."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from flowdistill.cli.lightning import main
from flowdistill.data import KittiDataset, read_split
from flowdistill.formats import read_image, read_kitti_disparity, read_kitti_flow

ROOT = Path(__file__).parents[2]
MODELS = sorted(
    str(p.relative_to(ROOT)) for p in ROOT.glob("configs/[d]*/*.yaml") if p.parent.name in ("ddflow", "dwarf")
)
TRAINERS = sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("configs/trainer/*.yaml"))
DATA = sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("configs/data/*.yaml"))


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", MODELS)
def test_configs_compose(
    model: str, data: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either order, the root comes from the command line or from DATA_ROOT."""
    assert len(MODELS) >= 4
    assert len(DATA) >= 8
    monkeypatch.setenv("DATA_ROOT", "/from/environment")
    printed = []
    for order in ((model, data), (data, model)):
        # All trainer configs in turn: each is combined with most of the other configs.
        trainer = TRAINERS[(MODELS.index(model) + DATA.index(data)) % len(TRAINERS)]
        with pytest.raises(SystemExit) as stop:
            main(["fit", *(p for c in (*order, trainer) for p in ("--config", c)), "--print_config"])
        assert stop.value.code in (0, None)
        printed.append(capsys.readouterr().out)
    assert all("MotionDataModule" in text and "max_steps" in text for text in printed)
    if "rendered" not in data:
        assert "root: /from/environment" in printed[0]


@pytest.mark.parametrize("model", ["ddflow", "dwarf"])
def test_fit_validate_and_predict(
    model: str, rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    already_there = set(ROOT.iterdir())
    view = {"ddflow": "flow", "dwarf": "scene_flow"}[model]
    configs = (f"configs/demo/{model}.yaml", "configs/data/rendered.yaml", "configs/trainer/cpu.yaml")
    common = [part for config in configs for part in ("--config", config)]
    common += ["--data.init_args.root", str(rendered), "--data.init_args.num_workers", "0",
               "--model.init_args.width", "0.125", "--trainer.enable_progress_bar", "false",
               "--trainer.enable_model_summary", "false"]  # fmt: skip
    for split in ("train", "val"):
        common += [f"--data.init_args.{view}.{split}_split", str(rendered / f"{split}.txt")]
    logger = ["--trainer.logger.init_args.save_dir", str(tmp_path), "--trainer.logger.init_args.name", "run"]
    fit = ["fit", *common, *logger, "--trainer.max_steps", "2", "--trainer.val_check_interval", "1",
           "--trainer.log_every_n_steps", "1"]  # fmt: skip
    assert main(fit) == 0
    run = tmp_path / "run" / "version_0"
    assert (run / "config.yaml").is_file()
    header = (run / "metrics.csv").read_text().splitlines()[0]
    assert "val/epe_all" in header
    assert "train/loss" in header
    checkpoint = run / "checkpoints" / "last.ckpt"
    assert checkpoint.is_file()
    # A second run does not affect the first; a resumed one continues from its step.
    more = [*fit, "--trainer.max_steps", "3", "--ckpt_path", str(checkpoint)]
    assert main(more) == 0
    assert (tmp_path / "run" / "version_1" / "checkpoints" / "last.ckpt").is_file()
    # Weights and step of the very end, though the interval of checkpoints is 100 steps.
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 2
    quiet = ["--trainer.logger", "false", "--ckpt_path", str(checkpoint)]
    assert main(["validate", *common, *quiet]) == 0
    # Other settings are another stage, not the same run resumed.
    capsys.readouterr()
    assert main([*fit, "--model.init_args.learning_rate", "0.5", "--ckpt_path", str(checkpoint)]) == 2
    assert "learning_rate (was" in capsys.readouterr().err
    other = ["--config", f"configs/demo/{'dwarf' if model == 'ddflow' else 'ddflow'}.yaml"]
    output = tmp_path / "predictions"
    writer = ["--prediction.output", str(output)]
    assert main(["predict", *common, *other, *quiet, *writer]) == 2
    assert "--ckpt_path: the checkpoint does not fit" in capsys.readouterr().err

    assert main(["predict", *common, *quiet, *writer]) == 0
    samples = KittiDataset(str(rendered), read_split(rendered / "val.txt"), "scene_flow", labels=True)
    folders = {"ddflow": ["flow", "flow_backward"], "dwarf": ["flow"]}[model]
    for index in range(len(samples)):
        name = samples[index]["name"]
        for folder in folders:
            flow, valid = read_kitti_flow(output / folder / f"{name}.png")
            assert flow.shape == (64, 128, 2)
            assert valid.all()
            assert read_image(output / f"{folder}_colour" / f"{name}.png").shape == (64, 128, 3)
        if model == "dwarf":
            for folder in ("disp_0", "disp_1"):
                disparity, valid = read_kitti_disparity(output / folder / f"{name}.png")
                assert valid.all()
                assert disparity.min() > 0
        else:
            occluded = cv2.imread(str(output / "occluded" / f"{name}.png"))
            assert set(np.unique(occluded)) <= {0, 255}
        # Rendered data has ground truth and requests it, so the error is drawn, too.
        assert (output / "flow_error" / f"{name}.png").is_file()
    assert set(ROOT.iterdir()) == already_there  # no config.yaml, no lightning_logs
