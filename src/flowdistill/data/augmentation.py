"""Settings of the training augmentation, published presets, and the transforms they correspond to."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from flowdistill import renamed
from flowdistill.data.photometric import ChannelSwap, OccludingPatches, Photometric, Strength
from flowdistill.data.photometric.strength import LARGEST_BLUR
from flowdistill.data.sampler import Transform
from flowdistill.data.transforms import RandomCrop, RandomFlips, RandomScale, ReflectPad, RelativeMotion, Zoom
from flowdistill.errors import UserError

Preset = Literal["dwarf_things", "dwarf_kitti", "ddflow"]

PRESETS: dict[str, dict[str, Any]] = {
    # DWARF (AAAI 2020), released code: pre-training.
    "dwarf_things": {
        "crop": (384, 768),
        "zoom_probability": 0.5,
        "colour_probability": 1.0,
        "colour_shared": False,
    },
    # DWARF, configurations/kitti.json; filters/color.py draws separately for each of the four images.
    "dwarf_kitti": {
        "pad_to": (384, 1280),
        "crop": (320, 896),
        "zoom_probability": 0.5,
        "colour_probability": 0.5,
        "colour_shared": False,
    },
    # DDFlow (AAAI 2019), data_augmentation.py; the crop depends on the data set.
    "ddflow": {"flips": True, "channel_swap": True},
}
"""Published recipes: the value of each setting that the config does not set."""


@dataclass(kw_only=True)
class Augmentation:
    """Augmentation of training samples. Settings that are not given are those of the preset, or off without a preset.

    Attributes:
        preset: a published recipe: dwarf_things, dwarf_kitti or ddflow. Other keys override its values.
        scale: [smallest, largest] factor of the image size, log-uniform; images never become smaller than the crop.
        max_stretch: largest ratio of the factors of width and height, 1 or more.
        max_relative_rotation: largest rotation of the second frame relative to the first, degrees (flow view only).
        max_relative_shift: largest shift of the second frame (for stereo, of both t1 images by whole pixels), px.
        pad_to: reflect-pad training samples to at least this [height, width] before the crop.
        crop: [height, width] of the random crop in training.
        flips: left-right and top-bottom flips, each with probability 1/2; `vertical` for top-bottom only, the only one
            that the scene_flow view allows.
        zoom_probability: probability of enlarging by 1-1.8 and cropping the centre to the crop's size.
        sparse_zoom: labels under that zoom: nearest (default) or released, which averages labels and invalid pixels as
            DWARF's released code does (docs/differences.md).
        erase_probability: probability of covering one or two rectangles of the t1 images; pixels that move there are
            occluded.
        channel_swap: random order of the colour channels in training.
        colour_probability: probability of changing gamma, brightness and colour in training.
        max_blur_sigma: largest standard deviation of a Gaussian blur, px, at most 2.
        max_noise_std: largest standard deviation of Gaussian noise, of values in [0, 1].
        colour_shared: draw colour, blur and noise once for all images of a sample (default); else once per image.
        photometric_on: where colour, blur and noise are applied: workers (default) or device.
    """

    preset: Preset | None = None
    scale: tuple[float, float] | None = None
    max_stretch: float | None = None
    max_relative_rotation: float | None = None
    max_relative_shift: float | None = None
    pad_to: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    flips: bool | Literal["vertical"] | None = None
    zoom_probability: float | None = None
    sparse_zoom: Literal["nearest", "released"] | None = None
    erase_probability: float | None = None
    channel_swap: bool | None = None
    colour_probability: float | None = None
    max_blur_sigma: float | None = None
    max_noise_std: float | None = None
    colour_shared: bool | None = None
    photometric_on: Literal["workers", "device"] | None = None

    # The old names of eight switches, for one version.
    zoom: float | None = None
    patches: float | None = None
    colour: float | None = None
    blur: float | None = None
    noise: float | None = None
    stretch: float | None = None
    relative_shift: float | None = None
    relative_rotation: float | None = None

    def __post_init__(self) -> None:
        for old, new in renamed.AUGMENTATION.items():
            given = getattr(self, old)
            setattr(self, new, renamed.old_or_new(renamed.AUGMENTATION, old, given, getattr(self, new), None))
            setattr(self, old, None)

    def with_preset(self) -> "Augmentation":
        """Return these settings with the preset's values for those that are not set."""
        recipe = PRESETS[self.preset] if self.preset is not None else {}
        unset = {key: value for key, value in recipe.items() if getattr(self, key) is None}
        return replace(self, **unset)

    def transforms(self) -> list[Transform]:
        """Return the training transforms in order: geometric first, photometric last.

        (DWARF's code zooms after the colour changes; the order here differs by rounding only, and allows colour changes
        on the device.)
        """
        full = self.with_preset()
        chosen: list[Transform] = []
        if full.scale is not None or full.max_stretch is not None:
            chosen.append(RandomScale(full.scale or (1.0, 1.0), full.max_stretch or 1.0, full._least_size()))
        if full.max_relative_rotation or full.max_relative_shift:
            chosen.append(RelativeMotion(full.max_relative_rotation or 0.0, full.max_relative_shift or 0.0))
        if full.pad_to is not None:
            chosen.append(ReflectPad(full.pad_to))
        if full.crop is not None:
            chosen.append(RandomCrop(full.crop))
        if full.flips:
            chosen.append(RandomFlips(left_right=full.flips != "vertical"))
        if full.zoom_probability:
            chosen.append(Zoom(full.zoom_probability, full.sparse_zoom or "nearest"))
        if full.erase_probability:
            chosen.append(OccludingPatches(full.erase_probability))
        if full.channel_swap:
            chosen.append(ChannelSwap())
        strength = Strength(
            full.colour_probability or 0.0,
            full.max_blur_sigma or 0.0,
            full.max_noise_std or 0.0,
            shared=full.colour_shared is not False,
        )
        if strength.colour or strength.blur or strength.noise:
            chosen.append(Photometric(strength, full.photometric_on or "workers"))
        return chosen

    def _least_size(self) -> tuple[int, int]:
        """Return the size below which scaled images would be too small for the crop, after padding."""
        if self.crop is None:
            return (1, 1)
        pad = self.pad_to or (0, 0)
        height, width = (1 if pad[axis] >= self.crop[axis] else self.crop[axis] for axis in (0, 1))
        return height, width


_PROBABILITY = ("is a probability from 0 to 1", lambda value: 0 <= value <= 1)
_SIZE = ("is [height, width] in pixels, both positive", lambda size: min(size) >= 1)
# What a setting must be: in words, and as a function of its value.
_VALUES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "zoom_probability": _PROBABILITY,
    "erase_probability": _PROBABILITY,
    "colour_probability": _PROBABILITY,
    "pad_to": _SIZE,
    "crop": _SIZE,
    "scale": ("is [smallest, largest] factor, above 0", lambda factor: 0 < factor[0] <= factor[1] < 100),
    "max_stretch": ("is a ratio from 1 to 10", lambda ratio: 1 <= ratio <= 10),
    "max_relative_rotation": ("is in degrees, from 0 to 180", lambda angle: 0 <= angle <= 180),
    "max_relative_shift": ("is in pixels, from 0 to 1000", lambda shift: 0 <= shift <= 1000),
    "max_blur_sigma": (f"is in pixels, from 0 to {LARGEST_BLUR:g}", lambda sigma: 0 <= sigma <= LARGEST_BLUR),
    "max_noise_std": ("is from 0 to 1, for values in [0, 1]", lambda std: 0 <= std <= 1),
}


def check_augmentation(place: str, chosen: Augmentation, stereo: bool) -> None:
    """Reject settings that the transforms do not support.

    Args:
        place: path of the settings in the config, for the message: data.init_args.flow.
        stereo: whether samples are stereo pairs.

    Raises:
        UserError: with the key and its valid values.
    """
    full = chosen.with_preset()
    for key, (says, holds) in _VALUES.items():
        _check(place, full, key, says, holds)
    if not stereo:
        return
    if full.flips and full.flips != "vertical":
        raise UserError(
            f"{place}.flips: a left-right flip would swap the cameras of a stereo pair, and labels of the right "
            "image do not exist. Set it to vertical or false."
        )
    if full.max_relative_rotation:
        raise UserError(
            f"{place}.max_relative_rotation: the two images of a pair would no longer be rectified. Set it to 0."
        )
    words = "is in whole pixels for stereo pairs"
    _check(place, full, "max_relative_shift", words, lambda shift: shift == int(shift))


def _check(place: str, full: Augmentation, key: str, says: str, holds: Callable[[Any], bool]) -> None:
    value = getattr(full, key)
    if value is not None and not holds(value):
        shown = list(value) if isinstance(value, tuple) else value
        raise UserError(f"{place}.{key} {says}, not {shown}.")
