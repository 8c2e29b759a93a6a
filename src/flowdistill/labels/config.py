"""The settings of `flowdistill labels make`: a YAML file, one dataclass per part; every number is checked.

dataset: kitti2015
view: scene_flow
teachers:
  matcher: {opencv: {max_disparity: 128}}
  network: {checkpoint: {path: ddflow.ckpt}}
motions: {disparity: [matcher], flow: [network, matcher]}
confidence:
  disparity: {consistency: {absolute: 1.0}}
  flow: {consistency: {absolute: 1.0, relative: 0.05}}
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Literal

from flowdistill.errors import UserError
from flowdistill.labels.estimate import MOTIONS


@dataclass
class OpenCVPart:
    """Semi-global matching and DIS flow.

    Attributes:
        max_disparity: search range, px, a multiple of 16.
        block_size: side of the matched blocks, px, odd.
        mode: of StereoSGBM: sgbm (5 directions), hh (8, high memory use) or 3way.
        uniqueness_ratio: percent by which the best cost must beat the second best.
        prefilter_cap: value at which horizontal derivatives are clipped before matching.
        speckle_window: px; smaller patches of uniform disparity become unknown. 0: no filtering.
        speckle_range: maximum difference between neighbours within a patch, px.
        preset: of DIS: ultrafast, fast or medium.
    """

    max_disparity: int = 128
    block_size: int = 5
    mode: Literal["sgbm", "hh", "3way"] = "sgbm"
    uniqueness_ratio: int = 0
    prefilter_cap: int = 63
    speckle_window: int = 0
    speckle_range: int = 2
    preset: Literal["ultrafast", "fast", "medium"] = "medium"

    def __post_init__(self) -> None:
        for name, right, use in (
            (
                "max_disparity",
                self.max_disparity > 0 and self.max_disparity % 16 == 0,
                "a positive multiple of 16",
            ),
            ("block_size", self.block_size > 0 and self.block_size % 2 == 1, "an odd number"),
            ("uniqueness_ratio", 0 <= self.uniqueness_ratio < 100, "0 to 99"),
            ("prefilter_cap", 1 <= self.prefilter_cap <= 63, "1 to 63"),
            ("speckle_window", self.speckle_window >= 0, "0 or more"),
            ("speckle_range", self.speckle_range >= 0, "0 or more"),
        ):
            _check(right, f"opencv.{name} is {getattr(self, name)}; use {use}")


@dataclass
class FilesPart:
    """Precomputed predictions, one file each: .flo, .pfm or KITTI's 16-bit .png.

    Attributes:
        folder: to which the patterns are relative.
        sign: of the disparities in .pfm files; those of the batch contract are positive.
        flow, flow_backward, disparity_t0, disparity_right_t0, disparity_next, disparity_right_next, disparity_t1:
            patterns of their files with placeholders {id} and {camera}, such as flow/{id}.flo; null: no such
            prediction. `right`: on the grid of the right image; `next`: of the second pair, on the grid of left_t1.
    """

    folder: str
    sign: Literal["positive", "negative"] = "positive"
    flow: str | None = None
    flow_backward: str | None = None
    disparity_t0: str | None = None
    disparity_right_t0: str | None = None
    disparity_next: str | None = None
    disparity_right_next: str | None = None
    disparity_t1: str | None = None

    def __post_init__(self) -> None:
        patterns = self.patterns()
        _check(bool(patterns), "files: no pattern is given, such as flow: flow/{id}.flo")
        for name, pattern in patterns.items():
            fields = {part[1] for part in Formatter().parse(pattern) if part[1] is not None}
            _check(
                "id" in fields and fields <= {"id", "camera"},
                f"files.{name} is {pattern!r}; it needs {{id}} and may have {{camera}}, nothing else in braces",
            )
            suffix = Path(pattern).suffix
            fits = suffix in (".pfm", ".png") or (suffix == ".flo" and name.startswith("flow"))
            _check(fits, f"files.{name} is {pattern!r}; flow is .flo, .pfm or .png, disparity .pfm or .png")

    def patterns(self) -> dict[str, str]:
        """Return motion -> pattern, for those given."""
        return {name: getattr(self, name) for name in MOTIONS if getattr(self, name) is not None}


@dataclass
class CheckpointPart:
    """A network trained with flowdistill.

    Attributes:
        path: checkpoint of `lightning fit`: DDFlowModule gives flow, DwarfModule flow and disparity.
        flips: whether to average with the prediction of the upside-down images: twice the work; the difference of the
            two can be checked (`spread`).
        device: auto, cpu or cuda.
        calibration: file of `flowdistill confidence fit`, for the check `calibrated`; not with `flips`, whose mean is
            not what was calibrated.
    """

    path: str
    flips: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    calibration: str | None = None

    def __post_init__(self) -> None:
        _check(
            not (self.flips and self.calibration),
            "checkpoint: flips and calibration exclude each other, since the mean of two predictions is not what was "
            "calibrated",
        )


@dataclass
class TeacherPart:
    """One teacher: exactly one of these fields is set."""

    opencv: OpenCVPart | None = None
    files: FilesPart | None = None
    checkpoint: CheckpointPart | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("opencv", "files", "checkpoint") if getattr(self, name) is not None]
        _check(
            len(given) == 1,
            f"a teacher is one of opencv, files, checkpoint, not {' and '.join(given) or 'none'}",
        )


@dataclass
class Consistency:
    """Forward-backward tolerance in px: sqrt(absolute^2 + relative^2 * (|forward|^2 + |backward|^2))."""

    absolute: float = 1.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        _positive("consistency.absolute", self.absolute)
        _check(0 <= self.relative < 1, f"consistency.relative is {self.relative}; use 0 to below 1")


@dataclass
class Photometric:
    """Tolerance of the mean absolute brightness difference after warping, grey levels (0-255), in `window` px."""

    tolerance: float = 8.0
    window: int = 5

    def __post_init__(self) -> None:
        _positive("photometric.tolerance", self.tolerance)
        _odd("photometric.window", self.window)


@dataclass
class Uniqueness:
    """Limit on the cost relative to the lowest cost of other motions, more than `apart` px away, in `window` px.

    For disparity these are all others in the row up to `max_disparity`; for flow eight around it, `apart` px away.
    """

    ratio: float = 1.4
    window: int = 5
    apart: float = 1.5
    max_disparity: int = 128

    def __post_init__(self) -> None:
        _positive("uniqueness.ratio", self.ratio)
        _odd("uniqueness.window", self.window)
        _positive("uniqueness.apart", self.apart)
        _positive("uniqueness.max_disparity", self.max_disparity)


@dataclass
class Checks:
    """The checks of a motion; null disables a check.

    Each gives a confidence t^2 / (t^2 + e^2) for its error e and its tolerance t, which is 0.5 at the tolerance; a
    pixel has the minimum over all checks.

    Attributes:
        consistency: left-right for disparity, forward-backward for flow.
        photometric: image difference after warping.
        uniqueness: whether other motions match equally well.
        spread: tolerance in px between predictions of flipped images, for teachers that make several.
        calibrated: whether the probability of an error under 3 px is a check, which only teachers with a calibration
            give: its confidence is the probability itself.
        keep: minimum confidence of a valid pixel. 0.5: every error is within its tolerance.
    """

    consistency: Consistency | None = None
    photometric: Photometric | None = None
    uniqueness: Uniqueness | None = None
    spread: float | None = None
    calibrated: bool = False
    keep: float = 0.5

    @property
    def none_set(self) -> bool:
        """Whether nothing is checked, so that every known pixel has the confidence 1."""
        checks = (self.consistency, self.photometric, self.uniqueness, self.spread)
        return not self.calibrated and all(check is None for check in checks)

    def __post_init__(self) -> None:
        if self.spread is not None:
            _positive("spread", self.spread)
        _check(0 <= self.keep <= 1, f"confidence: keep is {self.keep}; use 0 to 1")


@dataclass
class Confidence:
    """The checks of flow (forward and backward) and of disparity (at t0 and t1)."""

    disparity: Checks = field(default_factory=Checks)
    flow: Checks = field(default_factory=Checks)


@dataclass
class Motions:
    """Which teacher provides which motion; of several teachers the most confident is used, on ties the first.

    Attributes:
        flow: names of teachers; [] makes no flow labels.
        disparity: names of teachers; [] makes no disparity labels.
        backward: whether to make backward flow and the occlusion of both directions, too; students of the flow view
            need them.
        disparity_t1: `look_up`: stereo at t1, sampled along the flow; `direct`: the teachers' own disparity_t1.
    """

    flow: list[str] = field(default_factory=list)
    disparity: list[str] = field(default_factory=list)
    backward: bool = True
    disparity_t1: Literal["look_up", "direct"] = "look_up"


@dataclass
class LabelConfig:
    """All settings that affect the labels.

    Attributes:
        dataset: of the images: kitti2015, kitti2012, things, things_subset, chairs, sintel or folder.
        view: scene_flow (stereo pairs) or flow (one camera).
        options: of the dataset.
        teachers: name -> teacher; names are free.
        motions: which teacher provides which motion.
        confidence: which pixels to keep.

    Examples:
        >>> from flowdistill.labels.config import LabelConfig, Motions, OpenCVPart, TeacherPart
        >>> matcher = TeacherPart(opencv=OpenCVPart(max_disparity=64))
        >>> config = LabelConfig({"matcher": matcher}, Motions(flow=["matcher"], disparity=["matcher"]))
        >>> config.view, config.confidence.flow.keep
        ('scene_flow', 0.5)
    """

    teachers: dict[str, TeacherPart]
    motions: Motions
    confidence: Confidence = field(default_factory=Confidence)
    dataset: str = "kitti2015"
    view: Literal["flow", "scene_flow"] = "scene_flow"
    options: dict[str, str | int] | None = None

    def __post_init__(self) -> None:
        asked = [*self.motions.flow, *self.motions.disparity]
        _check(bool(asked), "motions: neither flow nor disparity has a teacher, so there is nothing to make")
        for name in asked:
            _check(
                name in self.teachers,
                f"motions: there is no teacher {name!r}; teachers has {', '.join(self.teachers) or 'none'}",
            )
        for name in self.teachers:
            _check(name in asked, f"teachers.{name} is not used: list it under motions, or remove it")
        for motion, names in (("flow", self.motions.flow), ("disparity", self.motions.disparity)):
            calibrated = [
                name
                for name in names
                if (part := self.teachers[name].checkpoint) and part.calibration is not None
            ]
            wanted: bool = getattr(self.confidence, motion).calibrated
            _check(
                bool(calibrated) or not wanted,
                f"confidence.{motion}.calibrated: none of its teachers ({', '.join(names)}) has a calibration; set "
                "teachers.*.checkpoint.calibration to a file of `flowdistill confidence fit`",
            )
        one_camera = self.view == "flow" and bool(self.motions.disparity)
        _check(not one_camera, "motions.disparity needs both cameras: set view: scene_flow, or disparity: []")


def _check(right: bool, otherwise: str) -> None:
    if not right:
        raise UserError(f"{otherwise}.")


def _positive(name: str, value: float) -> None:
    _check(0 < value < math.inf, f"{name} is {value}; use a positive number")


def _odd(name: str, value: int) -> None:
    _check(value > 0 and value % 2 == 1, f"{name} is {value}; use an odd number of pixels")
