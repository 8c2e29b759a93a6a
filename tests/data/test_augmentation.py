"""The published recipes as lists of transforms, overrides, and rejected settings."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonargparse import ArgumentParser

from flowdistill import renamed
from flowdistill.data.augmentation import PRESETS, Augmentation, check_augmentation
from flowdistill.data.photometric import Photometric
from flowdistill.data.views import View
from flowdistill.errors import UserError
from rendered_truth import flow_sample, stereo_sample

CONFIGS = Path(__file__).parents[2] / "configs"

#: All but the old names.
SWITCHES = {field.name for field in fields(Augmentation)} - set(renamed.AUGMENTATION)


def described(chosen: Augmentation) -> list[tuple[str, dict[str, Any]]]:
    """Class and settings of each transform, in order."""
    found = []
    for transform in chosen.transforms():
        settings = dict(vars(transform))
        if isinstance(transform, Photometric):
            settings = vars(settings["strength"]) | {"on": settings["on"]}
        found.append((type(transform).__name__, settings))
    return found


# Issue, point 3, and the released codes: DWARF's configurations/kitti.json, DDFlow's data_augmentation.py.
RECIPES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "dwarf_things": [
        ("RandomCrop", {"size": (384, 768)}),
        ("Zoom", {"probability": 0.5, "labels": "nearest"}),
        ("Photometric", {"colour": 1.0, "blur": 0, "noise": 0, "shared": False, "on": "workers"}),
    ],
    "dwarf_kitti": [
        ("ReflectPad", {"size": (384, 1280)}),
        ("RandomCrop", {"size": (320, 896)}),
        ("Zoom", {"probability": 0.5, "labels": "nearest"}),
        ("Photometric", {"colour": 0.5, "blur": 0, "noise": 0, "shared": False, "on": "workers"}),
    ],
    "ddflow": [
        ("RandomCrop", {"size": (320, 896)}),
        ("RandomFlips", {"left_right": True}),
        ("ChannelSwap", {}),
    ],
}


@pytest.mark.parametrize("preset", RECIPES)
def test_published_recipes(preset: Any) -> None:
    assert set(RECIPES) == set(PRESETS)
    crop = (320, 896) if preset == "ddflow" else None
    assert described(Augmentation(preset=preset, crop=crop)) == RECIPES[preset]


def test_nothing_is_on_by_itself() -> None:
    assert Augmentation().transforms() == []
    assert Augmentation(colour_shared=False, photometric_on="device").transforms() == []


def test_keys_beside_a_preset_override_it() -> None:
    changed = Augmentation(
        preset="dwarf_kitti", crop=(256, 512), zoom_probability=0, colour_probability=1.0, colour_shared=True
    )
    assert described(changed) == [
        ("ReflectPad", {"size": (384, 1280)}),
        ("RandomCrop", {"size": (256, 512)}),
        ("Photometric", {"colour": 1.0, "blur": 0, "noise": 0, "shared": True, "on": "workers"}),
    ]
    assert [name for name, _ in described(Augmentation(preset="ddflow", flips=False))] == ["ChannelSwap"]
    # The preset is looked up when transforms are created, so that settings can be changed later.
    late = Augmentation(preset="ddflow")
    late.channel_swap = False
    assert [name for name, _ in described(late)] == ["RandomFlips"]


def test_all_switches_in_their_order() -> None:
    everything = Augmentation(
        scale=(0.8, 1.2), max_stretch=1.1, max_relative_rotation=3, max_relative_shift=5, pad_to=(80, 130),
        crop=(64, 96), flips=True, zoom_probability=0.3, erase_probability=0.4, channel_swap=True,
        colour_probability=0.6, max_blur_sigma=1, max_noise_std=0.02, photometric_on="device",
    )  # fmt: skip
    assert described(everything) == [
        ("RandomScale", {"factors": (0.8, 1.2), "stretch": 1.1, "least": (1, 1)}),
        ("RelativeMotion", {"rotation": 3, "shift": 5}),
        ("ReflectPad", {"size": (80, 130)}),
        ("RandomCrop", {"size": (64, 96)}),
        ("RandomFlips", {"left_right": True}),
        ("Zoom", {"probability": 0.3, "labels": "nearest"}),
        ("OccludingPatches", {"probability": 0.4}),
        ("ChannelSwap", {}),
        ("Photometric", {"colour": 0.6, "blur": 1, "noise": 0.02, "shared": True, "on": "device"}),
    ]
    sample = flow_sample()
    for transform in everything.transforms():
        sample = transform(sample, np.random.default_rng(1))
    assert sample["left_t0"].shape == (3, 64, 96)


@pytest.mark.parametrize(
    ("pad_to", "least"), [(None, (64, 96)), ((64, 96), (1, 1)), ((70, 90), (1, 96)), ((60, 200), (64, 1))]
)
def test_scaled_images_still_hold_the_crop(pad_to: Any, least: tuple[int, int]) -> None:
    chosen = Augmentation(scale=(0.2, 0.3), pad_to=pad_to, crop=(64, 96), flips="vertical")
    assert described(chosen)[0][1]["least"] == least
    sample = stereo_sample()
    for transform in chosen.transforms():
        sample = transform(sample, np.random.default_rng(0))
    assert sample["right_t1"].shape == (3, 64, 96)


@pytest.mark.parametrize(
    ("stereo", "settings", "said"),
    [
        (False, {"zoom_probability": 1.2}, "here.zoom_probability is a probability from 0 to 1, not 1.2."),
        (False, {"erase_probability": -0.1}, "here.erase_probability is a probability"),
        (False, {"colour_probability": float("nan")}, "here.colour_probability is a probability"),
        (False, {"crop": (0, 4)}, "here.crop is [height, width] in pixels, both positive, not [0, 4]."),
        (False, {"pad_to": (10, -1)}, "here.pad_to is [height, width]"),
        (False, {"scale": (1.5, 0.9)}, "here.scale is [smallest, largest] factor, above 0, not [1.5, 0.9]."),
        (False, {"scale": (0.0, 1.0)}, "here.scale is"),
        (False, {"max_stretch": 0.8}, "here.max_stretch is a ratio from 1"),
        (False, {"max_relative_rotation": 181}, "here.max_relative_rotation is in degrees"),
        (False, {"max_relative_shift": float("inf")}, "here.max_relative_shift is in pixels"),
        (False, {"max_blur_sigma": 2.5}, "here.max_blur_sigma is in pixels, from 0 to 2, not 2.5."),
        (False, {"max_noise_std": 10}, "here.max_noise_std is from 0 to 1"),
        (True, {"flips": True}, "here.flips: a left-right flip would swap the cameras"),
        (True, {"preset": "ddflow"}, "Set it to vertical or false."),
        (
            True,
            {"max_relative_rotation": 1},
            "here.max_relative_rotation: the two images of a pair would no longer be",
        ),
        (
            True,
            {"max_relative_shift": 2.5},
            "here.max_relative_shift is in whole pixels for stereo pairs, not 2.5.",
        ),
    ],
)
def test_what_cannot_be_is_refused(stereo: bool, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        check_augmentation("here", Augmentation(**settings), stereo)
    assert said in str(caught.value)


@pytest.mark.parametrize("stereo", [True, False])
def test_what_can_be_is_not_refused(stereo: bool) -> None:
    check_augmentation("here", Augmentation(), stereo)
    check_augmentation(
        "here",
        Augmentation(
            flips="vertical",
            max_relative_shift=3.0,
            max_relative_rotation=0,
            zoom_probability=1,
            max_blur_sigma=2,
            max_noise_std=0,
        ),
        stereo,
    )
    check_augmentation("here", Augmentation(preset="dwarf_kitti"), stereo)
    check_augmentation("here", Augmentation(preset="ddflow", flips=False), stereo)


def test_all_switches_are_keys_of_a_view_in_yaml() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(View, "flow")
    written = {
        "preset": "dwarf_things", "scale": [0.5, 2], "max_stretch": 1.5, "max_relative_rotation": 3,
        "max_relative_shift": 4, "pad_to": [90, 80], "crop": [70, 60], "flips": "vertical", "zoom_probability": 0.1,
        "erase_probability": 0.2, "channel_swap": True, "colour_probability": 0.3, "max_blur_sigma": 0.4,
        "max_noise_std": 0.5, "colour_shared": False, "photometric_on": "device",
        "sparse_zoom": "released",
    }  # fmt: skip
    assert set(written) == SWITCHES
    view = parser.instantiate(parser.parse_object({"flow": written | {"train_split": "a"}})).flow
    assert isinstance(view, View)
    for key, value in written.items():
        found = getattr(view, key)
        assert (list(found) if isinstance(found, tuple) else found) == value, key


def _set_in_configs() -> set[str]:
    found: set[str] = set()
    for path in CONFIGS.rglob("*.yaml"):
        data = (yaml.safe_load(path.read_text()) or {}).get("data") or {}
        for view in ("flow", "scene_flow"):
            keys = (data.get("init_args") or {}).get(view) or {}
            found |= set(keys) | set(PRESETS.get(keys.get("preset"), {}))
    return found


def test_every_switch_is_used_by_a_config() -> None:
    assert _set_in_configs() >= SWITCHES
