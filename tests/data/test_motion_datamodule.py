"""MotionDataModule with a real Trainer: views, resume, workers, two processes, and error messages."""

from pathlib import Path
from typing import Any

import pytest
import torch
from kitti_writer import write_kitti
from recorder import Recorder, error_of_fit, trainer

from flowdistill.data import MotionDataModule, Source, View
from flowdistill.data.loaders import UnpaddedDistributedSampler
from flowdistill.errors import UserError


def split(folder: Path, *ids: str) -> str:
    path = folder / f"split_of_{len(ids)}.txt"
    path.write_text("\n".join(ids))
    return str(path)


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """Arguments of a datamodule over five sequences with ground truth; the last two validate."""
    root = write_kitti(tmp_path, range(5))
    ids = [f"{sequence:06d}_10" for sequence in range(5)]
    flow, scene_flow = (
        View(split(tmp_path, *ids[:3]), split(tmp_path, *ids[3:]), crop=(4, 8)) for _ in range(2)
    )
    return {
        "dataset": "kitti2015",
        "root": str(root),
        "flow": flow,
        "scene_flow": scene_flow,
        "batch_size": 2,
        "num_workers": 0,
        "seed": 3,
    }


def test_flow_model_trains_without_labels_and_validates_with(data: dict[str, Any]) -> None:
    model = Recorder()
    trainer(max_steps=2, val_check_interval=2).fit(model, datamodule=MotionDataModule(**data))
    batch = model.seen["train"][0]
    assert batch["left_t0"].shape == (2, 3, 4, 8)
    assert not {"flow", "right_t0"} & set(batch)
    assert model.names("val") == [["000003_10"], ["000004_10"]]
    assert model.seen["val"][0]["valid_flow_noc"].shape == (1, 1, 6, 9)


def test_scene_flow_model_gets_four_images_and_labels(data: dict[str, Any]) -> None:
    model = Recorder("scene_flow", needs_labels=True)
    trainer(max_steps=1, limit_val_batches=0).fit(model, datamodule=MotionDataModule(**data))
    batch = model.seen["train"][0]
    assert batch["right_t1"].shape == (2, 3, 4, 8)
    assert batch["disparity_t1"].shape == (2, 1, 4, 8)


def test_validate_test_and_predict_take_their_splits(data: dict[str, Any], tmp_path: Path) -> None:
    data["flow"].predict_split = split(tmp_path, "000000_10")
    model = Recorder()
    trainer().predict(model, datamodule=MotionDataModule(**data))
    assert model.names("predict") == [["000000_10"]]
    assert "flow" not in model.seen["predict"][0]
    data["flow"].predict_split = None
    trainer().predict(model, datamodule=MotionDataModule(**data, predict_labels=True))
    assert model.names("predict")[1:] == [["000003_10"], ["000004_10"]]
    assert "flow" in model.seen["predict"][-1]
    trainer().validate(model, datamodule=MotionDataModule(**data, val_labels=False), verbose=False)
    assert model.names("val") == [["000003_10"], ["000004_10"]]
    assert "flow" not in model.seen["val"][0]


def test_scan_needs_no_split_file(data: dict[str, Any]) -> None:
    data["flow"] = View("scan", "scan")
    model = Recorder()
    trainer().validate(model, datamodule=MotionDataModule(**data), verbose=False)
    assert model.names("val") == [[f"{sequence:06d}_10"] for sequence in range(5)]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_run_goes_on_with_the_samples_it_would_have_seen(
    data: dict[str, Any], tmp_path: Path, accumulate: int
) -> None:
    data["flow"].flips = True
    whole, first, second = Recorder(), Recorder(), Recorder()
    options = {"limit_val_batches": 0, "accumulate_grad_batches": accumulate}
    trainer(max_steps=5, **options).fit(whole, datamodule=MotionDataModule(**data))
    interrupted = trainer(max_steps=2, **options)
    interrupted.fit(first, datamodule=MotionDataModule(**data))
    interrupted.save_checkpoint(tmp_path / "a.ckpt")
    data["num_workers"] = 2
    resumed = trainer(max_steps=5, **options)
    resumed.fit(second, datamodule=MotionDataModule(**data), ckpt_path=tmp_path / "a.ckpt")
    assert len(whole.seen["train"]) == 5 * accumulate
    assert first.names("train") + second.names("train") == whole.names("train")
    for batch, other in zip(whole.seen["train"][2 * accumulate :], second.seen["train"], strict=True):
        assert torch.equal(batch["left_t0"], other["left_t0"])


def test_later_epochs_go_on_too(data: dict[str, Any]) -> None:
    whole, epochs = Recorder(), Recorder()
    trainer(max_steps=6, limit_val_batches=0).fit(whole, datamodule=MotionDataModule(**data))
    data["num_workers"] = 1
    run = trainer(max_epochs=3, limit_train_batches=2, limit_val_batches=0, check_val_every_n_epoch=1)
    run.fit(epochs, datamodule=MotionDataModule(**data))
    assert epochs.names("train") == whole.names("train")


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfit_batches_repeats_the_same_batches(data: dict[str, Any]) -> None:
    model = Recorder()
    trainer(overfit_batches=2, max_steps=6, limit_val_batches=0).fit(
        model, datamodule=MotionDataModule(**data)
    )
    names = model.names("train")
    assert names == names[:2] * 3
    assert names[0] != names[1]


def test_two_processes_see_every_validation_sample_once(data: dict[str, Any], tmp_path: Path) -> None:
    ids = [f"{sequence:06d}_10" for sequence in range(5)]
    data["flow"] = View(split(tmp_path, *ids), split(tmp_path, *ids))
    model = Recorder(log=tmp_path)
    run = trainer(devices=2, strategy="ddp_fork", max_steps=1, val_check_interval=1)
    run.fit(model, datamodule=MotionDataModule(**data))
    ranks = [(tmp_path / f"rank{rank}.txt").read_text().split() for rank in range(2)]
    assert ranks == [ids[0::2], ids[1::2]]


def test_shards_are_disjoint_and_complete() -> None:
    for length in range(1, 12):
        for world in range(1, length + 1):
            shards = [UnpaddedDistributedSampler(range(length), world, rank) for rank in range(world)]
            assert sorted(index for shard in shards for index in shard) == list(range(length))
            assert sum(len(shard) for shard in shards) == length


def test_fewer_samples_than_processes_is_an_error(data: dict[str, Any]) -> None:
    module = MotionDataModule(**data)
    module.trainer = _StubTrainer(Recorder(), world_size=3)
    with pytest.raises(UserError, match=r"2 samples for 3 processes.*--trainer\.devices 2"):
        module.val_dataloader()


class _StubTrainer:
    global_rank = 0

    def __init__(self, model: Any, world_size: int = 1) -> None:
        self.lightning_module = model
        self.world_size = world_size


def test_view_that_is_not_configured(data: dict[str, Any]) -> None:
    data["flow"] = None
    text = error_of_fit(data)
    for said in ("Recorder needs the flow view", "data.init_args.flow", "configs/data/kitti.yaml"):
        assert said in text
    data |= {"dataset": "sintel", "scene_flow": None}
    text = error_of_fit(data, Recorder("scene_flow"))
    assert "needs the scene_flow view" in text
    assert "MPI-Sintel has one camera: use another data config" in text


def test_model_that_names_no_view(data: dict[str, Any]) -> None:
    assert "an attribute `view`, one of flow, scene_flow; it is 'stereo'" in error_of_fit(
        data, Recorder("stereo")
    )


def test_empty_root_and_missing_split(data: dict[str, Any]) -> None:
    data["root"] = ""
    assert "export DATA_ROOT=DIR" in error_of_fit(data)
    data["flow"] = View("nowhere/a.txt", "nowhere/a.txt")
    assert "nowhere/a.txt does not exist" in error_of_fit(data)


def test_worker_errors_keep_their_words(data: dict[str, Any]) -> None:
    data["flow"].crop = (40, 80)
    data["num_workers"] = 1
    assert error_of_fit(data).startswith("Sample 00000")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch_size": 0}, "batch_size must be 1 or more, not 0"),
        ({"num_workers": -1}, "num_workers must be 0 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"scene_flow": View("a", "b", flips=True)}, r"scene_flow\.flips: a left-right flip would swap"),
        ({"flow": View("a", "b", colour_probability=1.5)}, r"flow\.colour_probability is a probability"),
        ({"flow": View("a", "b", crop=(0, 4))}, r"flow\.crop is \[height, width\]"),
        ({"dataset": "kiti2015"}, r"'kiti2015' is unknown; known: .*Did you mean kitti2015"),
        (
            {"options": {"part": "test"}},
            r"options\.part of kitti2015 must be one of training, testing, not 'test'",
        ),
        ({"flow": View("a", "b", train_sources=[])}, r"flow\.train_sources is empty"),
        (
            {"flow": View("a", "b", train_sources=[Source("a")])},
            r"flow has both train_split and train_sources",
        ),
    ],
)
def test_wrong_settings_are_named_at_once(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        MotionDataModule(**{"dataset": "kitti2015", "root": "x", **change})


def test_splits_that_are_not_set(data: dict[str, Any]) -> None:
    data["flow"] = View(None, data["flow"].val_split)
    assert "data.init_args.flow.train_split is not set" in error_of_fit(data)
    data["flow"] = View("scan")
    with pytest.raises(UserError, match=r"data\.init_args\.flow\.val_split is not set"):
        trainer().validate(Recorder(), datamodule=MotionDataModule(**data), verbose=False)


def test_colours_that_the_device_applies_are_those_of_the_workers(data: dict[str, Any]) -> None:
    batches = []
    for place in ("workers", "device"):
        data["flow"].colour, data["flow"].photometric_on = 1.0, place
        model = Recorder()
        trainer(max_steps=1, limit_val_batches=0).fit(model, datamodule=MotionDataModule(**data))
        batches.append(model.seen["train"][0])
    assert set(batches[0]) == set(batches[1])
    torch.testing.assert_close(batches[1]["left_t0"], batches[0]["left_t0"], atol=2e-5, rtol=0)
    data["flow"].colour = 0.0
    plain = Recorder()
    trainer(max_steps=1, limit_val_batches=0).fit(plain, datamodule=MotionDataModule(**data))
    assert (batches[1]["left_t0"] - plain.seen["train"][0]["left_t0"]).abs().max() > 0.05
