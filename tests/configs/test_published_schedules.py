"""The committed configs, composed by `lightning fit --print_config`, contain the published numbers of every stage.

The numbers are repeated here as in the authors' files: DWARF's configurations/sceneflow.json (commit
a75c6193) and kitti.json, DDFlow's config.ini and README.
"""

import contextlib
import io
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowdistill.cli.lightning import main
from flowdistill.data import View, read_split
from flowdistill.losses.supervised import FLOW_WEIGHT

ROOT = Path(__file__).parents[2]
KITTI = ("configs/dwarf/kitti.yaml", "configs/data/kitti.yaml")
SUPERVISION = ("gt", "px", "gt_px", "final_px", "final_gt")


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("DATA_ROOT", raising=False)


@cache
def composed(configs: Sequence[str]) -> dict[str, Any]:
    """The composed config of a command; the last config is the machine's."""
    arguments = [part for config in (*configs, "configs/trainer/cpu.yaml") for part in ("--config", config)]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main(["fit", *arguments, "--print_config"])
    content: dict[str, Any] = yaml.safe_load(printed.getvalue())
    return content


def view(configs: Sequence[str], name: str) -> View:
    """The view's settings, with its preset's values for keys that the config does not set."""
    content = composed(configs)["data"]["init_args"][name]
    full = View(**{key: tuple(v) if isinstance(v, list) else v for key, v in content.items()}).with_preset()
    assert isinstance(full, View)
    return full


def model(configs: Sequence[str]) -> dict[str, Any]:
    arguments: dict[str, Any] = composed(configs)["model"]["init_args"]
    return arguments


def run_length(configs: Sequence[str]) -> tuple[int, int, int]:
    """Optimiser steps, batch size, and batches per step."""
    content = composed(configs)
    trainer = content["trainer"]
    return (
        trainer["max_steps"],
        content["data"]["init_args"]["batch_size"],
        trainer["accumulate_grad_batches"],
    )


@pytest.mark.parametrize(("data", "splits"), [
    ("things_subset", ("scan:train", "scan:val")), ("things", ("scan:TRAIN", "scan:TEST")),
])  # fmt: skip
def test_pretraining(data: str, splits: tuple[str, str]) -> None:
    configs = ("configs/dwarf/things.yaml", f"configs/data/{data}.yaml")
    assert run_length(configs) == (1_200_000, 4, 1)
    settings = model(configs)
    assert settings["loss"] == "dense_multilevel"
    assert settings["learning_rate"] == 0.0001
    assert settings["halve_at"] == [400_000, 600_000, 800_000, 1_000_000]
    assert settings["alphas"] == {"2": 0.005, "3": 0.01, "4": 0.02, "5": 0.08, "6": 0.32}
    assert settings["l2_weight"] == 0.0004
    assert FLOW_WEIGHT == 0.5
    assert (settings["width"], settings["initialization"]) == (1.0, "xavier")
    sees = view(configs, "scene_flow")
    assert (sees.train_split, sees.val_split) == splits
    assert (sees.pad_to, sees.crop) == (None, (384, 768))
    assert (sees.zoom_probability, sees.colour_probability, sees.colour_shared) == (0.5, 1.0, False)
    assert (sees.flips, sees.scale, sees.erase_probability, sees.max_noise_std) == (None, None, None, None)


@pytest.mark.parametrize("supervision", SUPERVISION)
def test_fine_tuning_differs_in_nothing_but_the_splits(supervision: str) -> None:
    configs = (*KITTI, f"configs/dwarf/supervision/{supervision}.yaml")
    assert run_length(configs) == (50_000, 4, 1)
    settings = model(configs)
    assert settings["loss"] == "sparse_full_resolution"
    assert settings["learning_rate"] == 0.00003
    assert settings["halve_at"] == [25_000, 35_000, 45_000]
    assert settings["alphas"] == {"2": 0.001}
    assert settings["l2_weight"] == 0.0004
    assert (settings["width"], settings["initialization"]) == (1.0, "xavier")
    sees = view(configs, "scene_flow")
    assert (sees.pad_to, sees.crop) == ((384, 1280), (320, 896))
    assert (sees.zoom_probability, sees.colour_probability, sees.colour_shared) == (0.5, 0.5, False)
    assert (sees.flips, sees.scale, sees.erase_probability, sees.max_noise_std) == (None, None, None, None)


# Supervision -> sequences, frames of each, and how many of the samples have proxy labels.
LEARNS_FROM = {
    "gt": (range(160), [10], 0),
    "px": (range(160), range(20), 3200),
    "gt_px": (range(160), range(20), 3040),
    "final_px": (range(200), range(20), 4000),
    "final_gt": (range(200), [10], 0),
}


@pytest.mark.parametrize("supervision", SUPERVISION)
def test_what_each_kind_of_supervision_learns_from(supervision: str) -> None:
    sees = view((*KITTI, f"configs/dwarf/supervision/{supervision}.yaml"), "scene_flow")
    entries = read_split(str(sees.train_split))
    sequences, frames, proxies = LEARNS_FROM[supervision]
    assert {entry.id for entry in entries} == {f"{s:06d}_{f:02d}" for s in sequences for f in frames}
    assert len(entries) == len(sequences) * len(frames)
    assert sum(entry.labels is not None for entry in entries) == proxies
    if supervision == "gt_px":
        assert {entry.id[-2:] for entry in entries if entry.labels is None} == {"10"}
    validated = {entry.id for entry in read_split(str(sees.val_split))}
    assert validated == {f"{s:06d}_10" for s in range(160, 200)}
    trained_on = {id_[:6] for id_ in validated} & {entry.id[:6] for entry in entries}
    text = Path(f"configs/dwarf/supervision/{supervision}.yaml").read_text()
    assert ("Validation is not a test here" in text) == bool(trained_on)


def test_a_patch_changes_its_view_alone_and_comes_after_the_data_config(
    capsys: pytest.CaptureFixture[str],
) -> None:
    patch = "configs/dwarf/supervision/px.yaml"
    without, with_patch = composed(KITTI), composed((*KITTI, patch))
    before, after = (content["data"]["init_args"] for content in (without, with_patch))
    assert {key for key in before if before[key] != after[key]} == {"scene_flow"}
    splits = {key for key, value in before["scene_flow"].items() if value != after["scene_flow"][key]}
    assert splits == {"train_split"}
    for part in ("model", "trainer"):
        assert with_patch[part] == without[part]
    # Before it, the data config's splits would silently take precedence; the command rejects this instead.
    wrong_order = [part for config in (KITTI[0], patch, KITTI[1]) for part in ("--config", config)]
    with pytest.raises(SystemExit, match="2"):
        main(["fit", *wrong_order, "--print_config"])
    assert "scene_flow.train_split" in capsys.readouterr().err


DDFLOW = {
    "photometric": (100_000, {"abs_robust_mean_no_occlusion": 1.0}, [80_000]),
    "census": (300_000, {"census_occlusion": 1.0}, [80_000, 160_000, 240_000]),
    "distill_online": (300_000, {"census_occlusion": 1.0, "distillation": 1.0}, [80_000, 160_000, 240_000]),
    "distill_joint": (300_000, {"census_occlusion": 1.0, "distillation": 1.0}, [80_000, 160_000, 240_000]),
    "distill_offline": (300_000, {"census_occlusion": 1.0, "distillation": 1.0}, [80_000, 160_000, 240_000]),
}


@pytest.mark.parametrize("stage", DDFLOW)
def test_ddflow(stage: str) -> None:
    steps, losses, halvings = DDFLOW[stage]
    distills = stage.startswith("distill")
    patch = ("configs/ddflow/patch/kitti.yaml",) if distills else ()
    configs = (f"configs/ddflow/{stage}.yaml", *patch, "configs/data/kitti.yaml")
    assert run_length(configs) == (steps, 4, 1)
    settings = model(configs)
    assert settings["losses"] == losses
    assert settings["learning_rate"] == 0.0001
    assert settings["halve_at"] == halvings
    assert settings["student_crop"] == ([224, 640] if distills else None)
    assert settings["width"] == 1.0
    sees = view(configs, "flow")
    assert (sees.pad_to, sees.crop) == (None, (320, 896))
    assert (sees.flips, sees.channel_swap) == (True, True)
    assert len(read_split(str(sees.train_split))) == 6000


RECIPES = [*sorted(ROOT.glob("configs/dwarf/*.yaml")), *sorted(ROOT.glob("configs/dwarf/supervision/*.yaml"))]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_value_of_a_recipe_says_where_it_is_from(path: Path) -> None:
    comment, values = "", 0
    for line in path.read_text().splitlines():
        if line.lstrip().startswith("#"):
            comment += line
            continue
        value = re.match(r"\s*(\w+):\s+[^#\s]", line)
        if value is not None and value[1] != "class_path":
            values += 1
            said = line.partition("#")[2] or comment
            assert re.search(r"released code|ours", said, re.IGNORECASE), line
        comment = ""
    assert values >= 2
