"""KittiDataModule under a real Trainer: views, resume, workers, two processes, and the words of each error."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from jsonargparse import ArgumentParser
from kitti_writer import write_kitti
from torch import Tensor

from flowdistill.data import KittiDataModule, View
from flowdistill.data.datamodule import Shard
from flowdistill.data.sample import Batch
from flowdistill.errors import UserError

CONFIGS = Path(__file__).parents[2] / "configs" / "data"


class Recorder(pl.LightningModule):
    """Learns nothing, writes down what it is given."""

    def __init__(self, view: str = "flow", needs_labels: bool = False, log: Path | None = None) -> None:
        super().__init__()
        self.view = view
        self.needs_labels = needs_labels
        self.log_folder = log
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.register_buffer("counter", torch.zeros(()))
        self.seen: dict[str, list[Batch]] = {"train": [], "val": [], "predict": []}

    def training_step(self, batch: Batch, index: int) -> Tensor:
        self.seen["train"].append(batch)
        return self.weight * batch["left_t0"].mean()

    def validation_step(self, batch: Batch, index: int) -> None:
        self.seen["val"].append(batch)
        if self.log_folder is not None:
            with (self.log_folder / f"rank{self.global_rank}.txt").open("a") as file:
                file.write("".join(f"{name}\n" for name in batch["name"]))

    def predict_step(self, batch: Batch, index: int) -> int:
        self.seen["predict"].append(batch)
        return 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def names(self, stage: str) -> list[list[str]]:
        return [batch["name"] for batch in self.seen[stage]]


def trainer(**options: Any) -> pl.Trainer:
    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": -1,
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 0,
    }
    return pl.Trainer(**{**quiet, **options})


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
        "root": str(root),
        "flow": flow,
        "scene_flow": scene_flow,
        "batch_size": 2,
        "num_workers": 0,
        "seed": 3,
    }


def test_flow_model_trains_without_labels_and_validates_with(data: dict[str, Any]) -> None:
    model = Recorder()
    trainer(max_steps=2, val_check_interval=2).fit(model, datamodule=KittiDataModule(**data))
    batch = model.seen["train"][0]
    assert batch["left_t0"].shape == (2, 3, 4, 8)
    assert not {"flow", "right_t0"} & set(batch)
    assert model.names("val") == [["000003_10"], ["000004_10"]]
    assert model.seen["val"][0]["valid_flow_noc"].shape == (1, 1, 6, 9)


def test_scene_flow_model_gets_four_images_and_labels(data: dict[str, Any]) -> None:
    model = Recorder("scene_flow", needs_labels=True)
    trainer(max_steps=1, limit_val_batches=0).fit(model, datamodule=KittiDataModule(**data))
    batch = model.seen["train"][0]
    assert batch["right_t1"].shape == (2, 3, 4, 8)
    assert batch["disparity_t1"].shape == (2, 1, 4, 8)


def test_validate_test_and_predict_take_their_splits(data: dict[str, Any], tmp_path: Path) -> None:
    data["flow"].predict_split = split(tmp_path, "000000_10")
    model = Recorder()
    trainer().predict(model, datamodule=KittiDataModule(**data))
    assert model.names("predict") == [["000000_10"]]
    assert "flow" not in model.seen["predict"][0]
    data["flow"].predict_split = None
    trainer().predict(model, datamodule=KittiDataModule(**data, predict_labels=True))
    assert model.names("predict")[1:] == [["000003_10"], ["000004_10"]]
    assert "flow" in model.seen["predict"][-1]
    trainer().validate(model, datamodule=KittiDataModule(**data, val_labels=False), verbose=False)
    assert model.names("val") == [["000003_10"], ["000004_10"]]
    assert "flow" not in model.seen["val"][0]


def test_scan_needs_no_split_file(data: dict[str, Any]) -> None:
    data["flow"] = View("scan", "scan")
    model = Recorder()
    trainer().validate(model, datamodule=KittiDataModule(**data), verbose=False)
    assert model.names("val") == [[f"{sequence:06d}_10"] for sequence in range(5)]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_run_goes_on_with_the_samples_it_would_have_seen(
    data: dict[str, Any], tmp_path: Path, accumulate: int
) -> None:
    data["flow"].flips = True
    whole, first, second = Recorder(), Recorder(), Recorder()
    options = {"limit_val_batches": 0, "accumulate_grad_batches": accumulate}
    trainer(max_steps=5, **options).fit(whole, datamodule=KittiDataModule(**data))
    interrupted = trainer(max_steps=2, **options)
    interrupted.fit(first, datamodule=KittiDataModule(**data))
    interrupted.save_checkpoint(tmp_path / "a.ckpt")
    data["num_workers"] = 2
    resumed = trainer(max_steps=5, **options)
    resumed.fit(second, datamodule=KittiDataModule(**data), ckpt_path=tmp_path / "a.ckpt")
    assert len(whole.seen["train"]) == 5 * accumulate
    assert first.names("train") + second.names("train") == whole.names("train")
    for batch, other in zip(whole.seen["train"][2 * accumulate :], second.seen["train"], strict=True):
        assert torch.equal(batch["left_t0"], other["left_t0"])


def test_later_epochs_go_on_too(data: dict[str, Any]) -> None:
    whole, epochs = Recorder(), Recorder()
    trainer(max_steps=6, limit_val_batches=0).fit(whole, datamodule=KittiDataModule(**data))
    data["num_workers"] = 1
    run = trainer(max_epochs=3, limit_train_batches=2, limit_val_batches=0, check_val_every_n_epoch=1)
    run.fit(epochs, datamodule=KittiDataModule(**data))
    assert epochs.names("train") == whole.names("train")


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfit_batches_repeats_the_same_batches(data: dict[str, Any]) -> None:
    model = Recorder()
    trainer(overfit_batches=2, max_steps=6, limit_val_batches=0).fit(
        model, datamodule=KittiDataModule(**data)
    )
    names = model.names("train")
    assert names == names[:2] * 3
    assert names[0] != names[1]


def test_two_processes_see_every_validation_sample_once(data: dict[str, Any], tmp_path: Path) -> None:
    ids = [f"{sequence:06d}_10" for sequence in range(5)]
    data["flow"] = View(split(tmp_path, *ids), split(tmp_path, *ids))
    model = Recorder(log=tmp_path)
    run = trainer(devices=2, strategy="ddp_fork", max_steps=1, val_check_interval=1)
    run.fit(model, datamodule=KittiDataModule(**data))
    ranks = [(tmp_path / f"rank{rank}.txt").read_text().split() for rank in range(2)]
    assert ranks == [ids[0::2], ids[1::2]]


def test_shards_are_disjoint_and_complete() -> None:
    for length in range(1, 12):
        for world in range(1, length + 1):
            shards = [Shard(range(length), world, rank) for rank in range(world)]  # type: ignore[arg-type]
            assert sorted(index for shard in shards for index in shard) == list(range(length))
            assert sum(len(shard) for shard in shards) == length


def test_fewer_samples_than_processes_is_an_error(data: dict[str, Any]) -> None:
    module = KittiDataModule(**data)
    module.trainer = _StubTrainer(Recorder(), world_size=3)  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"2 samples for 3 processes.*--trainer\.devices 2"):
        module.val_dataloader()


class _StubTrainer:
    global_rank = 0

    def __init__(self, model: Any, world_size: int = 1) -> None:
        self.lightning_module = model
        self.world_size = world_size


def error_of_fit(data: dict[str, Any], model: pl.LightningModule | None = None) -> str:
    with pytest.raises(UserError) as caught:
        trainer(max_steps=1).fit(model or Recorder(), datamodule=KittiDataModule(**data))
    return str(caught.value)


def test_view_that_is_not_configured(data: dict[str, Any]) -> None:
    data["flow"] = None
    text = error_of_fit(data)
    for said in ("Recorder needs the flow view", "data.init_args.flow", "configs/data/kitti.yaml"):
        assert said in text


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
        ({"scene_flow": View("a", "b", flips=True)}, r"scene_flow\.flips: flips would swap the cameras"),
        ({"flow": View("a", "b", colour=1.5)}, r"flow\.colour is a probability"),
        ({"flow": View("a", "b", crop=(0, 4))}, r"flow\.crop is \[height, width\]"),
    ],
)
def test_wrong_settings_are_named_at_once(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        KittiDataModule(root="x", **change)


# jsonargparse renames `instantiate_classes` in 4.49; ours may be older.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["kitti", "frames", "rendered"])
def test_configs_build_the_datamodule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_ROOT", raising=False)
    parser = ArgumentParser(parser_mode="omegaconf", exit_on_error=False)
    parser.add_subclass_arguments(pl.LightningDataModule, "data")
    parser.add_argument("--trainer.limit_val_batches", type=int)  # frames.yaml limits validation
    config = parser.parse_path(str(CONFIGS / f"{name}.yaml"))
    module = parser.instantiate_classes(config).data
    assert isinstance(module, KittiDataModule)
    written = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["data"]["init_args"]
    for view in ("flow", "scene_flow"):
        assert (module.views[view] is not None) == (view in written)
        if view in written and "crop" in written[view]:
            assert module.views[view].crop == (320, 896)  # type: ignore[union-attr]
    for split_file in {
        view[key] for view in written.values() if isinstance(view, dict) for key in view if "split" in key
    }:
        assert split_file == "scan" or (CONFIGS.parents[1] / split_file).is_file()
    assert (module.root == "") == (name != "rendered")
