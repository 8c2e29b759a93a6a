"""Data configs: the committed ones, mixtures, and models with the labels of a dataset."""

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import yaml
from jsonargparse import ArgumentParser
from recorder import Recorder, error_of_fit, trainer

from flowdistill.data import MotionDataModule, Source, View
from flowdistill.data.datasets import dataset_class
from flowdistill.render.writer import Request, write_dataset
from flowdistill.training import DwarfModule

CONFIGS = Path(__file__).parents[2] / "configs" / "data"


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks")
    for layout in ("kitti2012", "sintel", "things"):
        write_dataset(folder / layout, layout, Request(seed=3, scenes=2, frames=2, size=(64, 96)))
    return folder


def test_a_model_trains_on_labels_that_the_data_has(benchmarks: Path) -> None:
    """KITTI 2012 has no disparity at t1: training is rejected, validation uses the existing labels."""
    data: dict[str, Any] = {"dataset": "kitti2012", "root": str(benchmarks / "kitti2012"), "num_workers": 0}
    data["scene_flow"] = View("scan", "scan")
    text = error_of_fit(data, Recorder("scene_flow", needs_labels=True))
    assert "Recorder trains on flow, disparity_t0, disparity_t1" in text
    assert "(kitti2012) has no disparity_t1" in text
    model = DwarfModule(loss="sparse_full_resolution", alphas={2: 0.001}, width=0.125)
    run = trainer(limit_val_batches=1)
    run.validate(model, datamodule=MotionDataModule(**data), verbose=False)
    logged = set(run.callback_metrics)
    assert {"val/epe_all", "val/fl_noc", "val/d1_all", "val/disparity_t0_epe_noc"} <= logged
    assert not [name for name in logged if "d2" in name or "disparity_t1" in name or "sf" in name]


def test_a_mixture_is_one_entry_of_the_config(benchmarks: Path, tmp_path: Path) -> None:
    config = tmp_path / "mixed.yaml"
    config.write_text(f"""
data:
  class_path: flowdistill.data.MotionDataModule
  init_args:
    dataset: sintel
    root: {benchmarks / "sintel"}
    options: {{render_pass: final}}
    batch_size: 2
    num_workers: 0
    flow:
      val_split: scan
      train_sources:
        - {{split: scan, weight: 3}}
        - {{dataset: things, root: {benchmarks / "things"}, split: "scan:TRAIN", options: {{render_pass: clean}}}}
""")
    module = parsed(config)
    model = Recorder()
    trainer(max_steps=7, limit_val_batches=0).fit(model, datamodule=module)
    counts = Counter(name for names in model.names("train") for name in names)
    # Two epochs of 3 x 2 + 1.
    assert counts == {
        "sintel:final/scene_0000/frame_0001": 6,
        "sintel:final/scene_0001/frame_0001": 6,
        "things:TRAIN/A/0000/0006": 2,
    }


def test_errors_of_a_source_name_its_place(benchmarks: Path) -> None:
    wrong = Source("scan", dataset="sintel", root=str(benchmarks / "things"))
    view = View(None, "scan", train_sources=[Source("scan"), wrong])
    data: dict[str, Any] = {"dataset": "things", "root": str(benchmarks / "things"), "flow": view}
    text = error_of_fit(data)
    assert text.startswith("data.init_args.flow.train_sources[1] (sintel): Looked for MPI-Sintel in")
    view.train_sources = [Source("scan"), Source("scan", dataset="sintel")]
    assert "train_sources[1] (sintel): No data folder is given" in error_of_fit(data)


def parsed(config: Path) -> MotionDataModule:
    parser = ArgumentParser(parser_mode="omegaconf", exit_on_error=False)
    parser.add_subclass_arguments(pl.LightningDataModule, "data")
    parser.add_argument("--trainer.limit_val_batches", type=int)  # folder.yaml limits validation
    with warnings.catch_warnings():
        # jsonargparse renames `instantiate_classes` in 4.49; ours may be older.
        warnings.simplefilter("ignore", DeprecationWarning)
        module = parser.instantiate_classes(parser.parse_path(str(config))).data
    assert isinstance(module, MotionDataModule)
    return module


CROPS = {"things": (384, 768), "things_subset": (384, 768)}


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_configs_build_the_datamodule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_ROOT", raising=False)
    module = parsed(CONFIGS / f"{name}.yaml")
    written = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["data"]["init_args"]
    dataset = dataset_class(module.dataset)
    assert module.dataset == {"kitti": "kitti2015", "frames": "folder", "rendered": "kitti2015"}.get(
        name, name
    )
    for view in ("flow", "scene_flow"):
        configured = module.views[view]
        assert (configured is not None) == (view in written)
        if configured is None:
            assert dataset.name == "folder" or view not in dataset.views
            continue
        for split_file in {configured.train_split, configured.val_split}:
            assert split_file in dataset.split_words or (CONFIGS.parents[1] / str(split_file)).is_file()
        if view == "scene_flow" and configured.preset is not None:
            full = configured.with_preset()
            assert full.crop == CROPS.get(name, (320, 896))  # as published
            assert (full.zoom_probability, full.colour_probability) == (0.5, 1.0 if "things" in name else 0.5)
    assert (module.root == "") == (name != "rendered")


def test_frames_is_an_alias_of_folder() -> None:
    frames, folder = ((CONFIGS / f"{name}.yaml").read_text() for name in ("frames", "folder"))
    assert yaml.safe_load(frames) == yaml.safe_load(folder)
    assert "folder.yaml" in frames.splitlines()[0]
