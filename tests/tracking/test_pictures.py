"""Pictures during training: their files and content, and that they do not affect training."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from flowdistill.cli.lightning import main as lightning
from flowdistill.data.datasets import open_dataset
from flowdistill.errors import UserError
from flowdistill.tracking.pictures import Pictures
from flowdistill.training import DDFlowModule
from flowdistill.visual import error_to_colours, flow_to_colours
from flowdistill.visual.sample_pictures import sample_pictures
from small_trainer import flow_data, small_ddflow, trainer

SIZE = (64, 128)


def test_motions_and_their_errors_share_a_scale() -> None:
    """Hand-made: flow of 10 px to the right, predicted 20; a corner is unknown."""
    truth = np.zeros((*SIZE, 2), np.float32)
    truth[..., 0] = 10
    valid = np.ones((*SIZE, 1), bool)
    valid[:8, :8] = False
    truth[:8, :8] = np.nan
    found = 2 * np.nan_to_num(truth)
    occluded = np.zeros((*SIZE, 1), bool)
    occluded[:, 100:] = True
    frame = np.full((*SIZE, 3), 0.5, np.float32)
    sample = {
        "left_t0": frame,
        "left_t1": frame,
        "flow": truth,
        "valid_flow": valid,
        "valid_flow_noc": valid & ~occluded,
    }
    pictures = sample_pictures({"flow": found, "occluded": occluded}, sample)
    assert np.array_equal(pictures["left_t0"], np.full((*SIZE, 3), 128, np.uint8))
    assert np.array_equal(pictures["flow_true"], flow_to_colours(truth, 10, valid[..., 0]))
    assert np.array_equal(pictures["flow_predicted"], flow_to_colours(found, 10))
    error = np.full(SIZE, 10.0)
    assert np.array_equal(pictures["flow_error"], error_to_colours(error, error, valid[..., 0]))
    assert (pictures["flow_error"][:8, :8] == 0).all()
    assert np.array_equal(pictures["occluded_predicted"][..., 0] > 0, occluded[..., 0])
    assert np.array_equal(pictures["occluded_true"][..., 0] > 0, (occluded & valid)[..., 0])


def test_without_truth_there_are_predictions_alone() -> None:
    frame = np.zeros((*SIZE, 3), np.float32)
    found = {"flow": np.ones((*SIZE, 2), np.float32), "disparity_t0": np.ones((*SIZE, 1), np.float32)}
    assert set(sample_pictures(found, {"left_t0": frame})) == {
        "left_t0",
        "flow_predicted",
        "disparity_t0_predicted",
    }


def fit(root: Path, folder: Path, pictures: Pictures, logger: object = None) -> DDFlowModule:
    model = small_ddflow(learning_rate=1e-3)
    logger = CSVLogger(folder, name="runs") if logger is None else logger
    trainer(folder, 4, logger=logger, val_check_interval=4, callbacks=[pictures]).fit(model, flow_data(root))
    return model


def test_files_of_the_same_samples_and_the_same_weights_as_without(rendered: Path, tmp_path: Path) -> None:
    model = fit(rendered, tmp_path, Pictures(2, samples=5))
    folder = tmp_path / "runs" / "version_0" / "pictures"
    sheets = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    assert sheets == [
        f"step_{step:09d}/{name}.png" for step in (2, 4) for name in ("000002_00", "000002_01")
    ]  # five were requested, the split has two
    alone = fit(rendered, tmp_path / "alone", Pictures())
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, alone.state_dict()[name]), name
    assert model.training
    # The last sheet shows the ground truth, and the prediction of the network at that step.
    sheet = cv2.imread(str(folder / sheets[-1]))[..., ::-1]
    sample = open_dataset("kitti2015", str(rendered), str(rendered / "val.txt"), "flow", True, None)[1]
    truth, valid = np.asarray(sample["flow"]).transpose(1, 2, 0), np.asarray(sample["valid_flow"])[0]
    assert holds(sheet, flow_to_colours(truth, None, valid))
    images = [torch.as_tensor(np.asarray(sample[name]))[None] for name in ("left_t0", "left_t1")]
    with torch.no_grad():
        flow = model.eval().network(*images)[0].full[0].permute(1, 2, 0).numpy()
    assert holds(sheet, flow_to_colours(flow, float(np.linalg.norm(truth, axis=2)[valid].max())))


def holds(sheet: np.ndarray, picture: np.ndarray) -> bool:
    """Whether the picture occurs in the sheet, up to one grey level."""
    distance = cv2.matchTemplate(sheet, picture, cv2.TM_SQDIFF)
    return bool(distance.min() <= picture.size)


def test_tensorboard_gets_each_picture(rendered: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(rendered, tmp_path, Pictures(2, samples=1), TensorBoardLogger(tmp_path, name="runs"))
    events = EventAccumulator(str(tmp_path / "runs" / "version_0"), size_guidance={"images": 0})
    events.Reload()
    kinds = (
        "left_t0",
        "left_t1",
        "flow_predicted",
        "flow_true",
        "flow_error",
        "occluded_predicted",
        "occluded_true",
    )
    assert set(events.Tags()["images"]) == {f"pictures/{kind}/000002_00" for kind in kinds}
    assert [(image.step, image.width, image.height) for image in events.Images("pictures/flow_true/000002_00")] == [
        (1, 128, 64), (3, 128, 64)
    ]  # fmt: skip
    assert {"train/loss", "train/gradient_norm", "weight/abs_robust_mean_no_occlusion"} <= set(
        events.Tags()["scalars"]
    )
    assert not (tmp_path / "runs" / "version_0" / "pictures").exists()


def test_a_missing_tensorboard_is_one_line(
    rendered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if "tensorboard" in name else found(name, *rest)
    )
    names = ("demo/ddflow", "data/rendered", "trainer/cpu", "logger/tensorboard")
    words = [part for name in names for part in ("--config", f"configs/{name}.yaml")]
    assert lightning(["fit", *words, "--data.init_args.root", str(rendered)]) == 2
    said = capsys.readouterr().err
    assert "error: trainer.logger: TensorBoardLogger needs tensorboard, which is not installed" in said
    assert "pip install 'flowdistill[tensorboard]'" in said


def test_a_run_without_validation_says_that_it_has_no_samples(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = flow_data(rendered)
    assert source.views["flow"] is not None
    source.views["flow"].val_split = None
    logger = CSVLogger(tmp_path, name="runs")
    trainer(tmp_path, 2, logger=logger, callbacks=[Pictures(1)]).fit(small_ddflow(), source)
    assert (
        "no pictures (--pictures.every_n_steps): this run has no validation split" in capsys.readouterr().err
    )


@pytest.mark.parametrize("options", [{"every_n_steps": 0}, {"samples": 0}])
def test_no_interval_and_no_samples_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        Pictures(**options)
