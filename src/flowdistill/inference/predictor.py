"""A checkpoint as a function of images: `flowdistill.load(path).predict(...)`, and the core of `flowdistill infer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flowdistill.data.notes import note
from flowdistill.data.sample import IMAGES, Batch
from flowdistill.errors import UserError
from flowdistill.inference.calibration import THRESHOLDS, Calibration, read_calibration
from flowdistill.inference.evidence import REVERSED, gather_evidence
from flowdistill.inference.load import load_model
from flowdistill.inference.memory import fitting_tile, free_memory
from flowdistill.inference.predict import to_array
from flowdistill.inference.tiles import Images, Motions, predict_tiled
from flowdistill.inference.weights_hash import weights_hash
from flowdistill.losses import occlusion_masks
from flowdistill.networks.ddflow import SMALLEST_SIZE
from flowdistill.training.base import MotionModule

Image = npt.NDArray[np.uint8] | npt.NDArray[np.floating[Any]]
Precision = Literal["32", "bf16", "16"]
Tile = Literal["auto", "none"] | tuple[int, int]
PRECISIONS: dict[str, torch.dtype | None] = {"32": None, "bf16": torch.bfloat16, "16": torch.float16}
OVERLAP = 128  # px
CALIBRATION_SUFFIX = ".confidence.json"  # of the calibration beside a checkpoint
_MOTIONS = ("flow", "flow_backward", "disparity_t0", "disparity_t1")


def load(
    path: str | Path,
    device: str = "auto",
    precision: Precision = "32",
    tile: Tile = "auto",
    calibration: str | Path | None = None,
) -> Predictor:
    """Load a checkpoint or a .safetensors file of weights, ready to predict.

    Args:
        path: the file.
        device: auto (a GPU if there is one), cpu or cuda.
        precision: 32, bf16, or 16 (on a GPU only) for the convolutions; motions are float32 in any case.
        tile: auto divides images that do not fit into memory; none never does; (rows, columns) always.
        calibration: file of `flowdistill confidence fit`; by default the one beside the checkpoint, if there is one.

    Raises:
        UserError: it is not a flowdistill checkpoint, or the device or the precision is not available.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> import torch
        >>> import flowdistill
        >>> from flowdistill.networks import DDFlowNet
        >>> weights = {f"network.{name}": value for name, value in DDFlowNet(width=0.125).state_dict().items()}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"state_dict": weights, "hyper_parameters": {"width": 0.125}}, f"{folder}/last.ckpt")
        ...     predictor = flowdistill.load(f"{folder}/last.ckpt", device="cpu")
        >>> first, second = np.random.default_rng(0).integers(0, 256, (2, 75, 110, 3), dtype=np.uint8)  # RGB
        >>> found = predictor.predict(first, second, occlusion=True)
        >>> found["flow"].shape, found["occluded"].shape, found["occluded"].dtype
        ((75, 110, 2), (75, 110), dtype('bool'))
    """
    predictor = Predictor(load_model(Path(path), "load", device), precision, tile)
    predictor.calibration = find_calibration(Path(path), calibration, predictor.model)
    return predictor


def find_calibration(
    checkpoint: Path, given: str | Path | None, model: MotionModule, option: str = "calibration"
) -> Calibration | None:
    """Return the given calibration, or the one beside the checkpoint, if any; says so if it is of other weights.

    Raises:
        UserError: it cannot be read.
    """
    beside = checkpoint.with_name(checkpoint.stem + CALIBRATION_SUFFIX)
    if given is None and not beside.is_file():
        return None
    path = beside if given is None else Path(given)
    calibration = read_calibration(path, option)
    if calibration.weights_sha256 != weights_hash(model.network):
        note(
            f"{path} was fitted for other weights: the confidence of these is uncalibrated; fit it with flowdistill "
            f"confidence fit --checkpoint {checkpoint}"
        )
    return calibration


class Predictor:
    """Predicts motions with a loaded model. `images` are the names of those that it takes, two or four."""

    def __init__(
        self, model: MotionModule, precision: Precision = "32", tile: Tile = "auto", overlap: int = OVERLAP
    ) -> None:
        self.model, self.tile, self.overlap = model.eval(), tile, overlap
        self.calibration: Calibration | None = None
        self.dtype = PRECISIONS[precision]
        if precision == "16" and model.device.type != "cuda":
            raise UserError(f"precision 16 needs a GPU; this model is on {model.device}. Use 32 or bf16")
        if isinstance(tile, tuple) and not overlap < min(tile):
            raise UserError(
                f"tiles of {tile[0]}x{tile[1]} must be larger than their overlap, {overlap} pixels"
            )
        self._told: set[tuple[int, int]] = set()

    @property
    def needs_stereo(self) -> bool:
        return self.model.view == "scene_flow"

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images that it takes."""
        return IMAGES if self.needs_stereo else ("left_t0", "left_t1")

    def predict(
        self,
        left_t0: Image,
        left_t1: Image,
        right_t0: Image | None = None,
        right_t1: Image | None = None,
        *,
        backward: bool = False,
        occlusion: bool = False,
        confidence: bool = False,
    ) -> dict[str, npt.NDArray[Any]]:
        """Predict the motions between two images, or two stereo pairs.

        Args:
            left_t0, left_t1, right_t0, right_t1: RGB (H, W, 3) of one size, uint8, or floating point in [0, 1].
                The right images are needed by DWARF and not accepted by DDFlow.
            backward: also return the flow from t1 to t0; DWARF needs a second pass for it.
            occlusion: also return where pixels of left_t0 are not visible in left_t1, by a forward-backward check.
            confidence: also return the probabilities that a motion's error is under 1 px and under 3 px; two passes
                for DDFlow, four for DWARF. It needs a calibration.

        Returns:
            flow (H, W, 2) float32 px, x right then y down, on the grid of left_t0; for DWARF also disparity_t0 and
            disparity_t1 (H, W) float32 px; flow_backward (H, W, 2), occluded (H, W) bool if requested; and for each
            motion but the backward flow confidence_MOTION (3 px) and confidence_MOTION_1px (H, W) float32 in [0, 1].

        Raises:
            UserError: confidence is requested without a calibration.
            ValueError: an image has another shape, type or range, or the wrong number of images is given.
        """
        given = {"left_t0": left_t0, "right_t0": right_t0, "left_t1": left_t1, "right_t1": right_t1}
        images = {name: image for name, image in given.items() if image is not None}
        if set(images) != set(self.images):
            raise ValueError(
                f"{type(self.model.network).__name__} takes {', '.join(self.images)}; got {', '.join(images)}"
            )
        tensors = {name: as_tensor(image, name)[None] for name, image in images.items()}
        found = self.predict_batch(tensors, backward, occlusion, confidence)
        arrays = {name: to_array(value[0]) for name, value in found.items()}
        return {name: array if array.shape[2] == 2 else array[..., 0] for name, array in arrays.items()}

    def predict_batch(
        self, images: Images, backward: bool = False, occlusion: bool = False, confidence: bool = False
    ) -> dict[str, Tensor]:
        """Predict a batch: images (B, 3, H, W) RGB in [0, 1] on any device -> (B, C, H, W) on the model's.

        Raises:
            ValueError: the images differ in size, or are smaller than the network's smallest size.
            UserError: confidence is requested without a calibration.
        """
        if confidence:
            self.require_calibration()
        sizes = {(image.shape[-2], image.shape[-1]) for image in images.values()}
        if len(sizes) > 1:
            raise ValueError(f"the images of a sample must have one size, got {sorted(sizes)}")
        (size,) = sizes
        if not self.needs_stereo and min(size) < SMALLEST_SIZE:
            raise ValueError(
                f"DDFlow needs images of at least {SMALLEST_SIZE}x{SMALLEST_SIZE}, got {size[0]}x{size[1]}"
            )
        images = {name: image.to(self.model.device, non_blocking=True) for name, image in images.items()}
        place = self.model.device.type
        with (
            torch.inference_mode(),
            torch.autocast(place, self.dtype or torch.bfloat16, enabled=self.dtype is not None),
        ):
            predict = self._pass_for(size, len(next(iter(images.values()))))
            motions = self._motions(predict, images, backward or occlusion or confidence)
            if confidence:
                motions |= self._confidence(predict, images, motions)
            motions.pop("disparity_next", None)
            if occlusion:
                motions["occluded"] = occlusion_masks(motions["flow"], motions["flow_backward"])[0]
        if not backward:
            motions.pop("flow_backward", None)
        return motions

    def require_calibration(self) -> Calibration:
        """Return the calibration.

        Raises:
            UserError: there is none.
        """
        if self.calibration is None:
            raise UserError(
                "a confidence needs a calibration for these weights: make it with flowdistill confidence fit "
                "--checkpoint CKPT (renders scenes; minutes), which writes it beside the checkpoint"
            )
        return self.calibration

    def evidence(self, images: Images) -> tuple[Motions, dict[str, Tensor]]:
        """Return the motions of a batch (see `predict_batch`) and the evidence on them (B, 4, H, W)."""
        first = next(iter(images.values()))
        with torch.inference_mode():
            predict = self._pass_for((first.shape[-2], first.shape[-1]), len(first))
            motions = self._motions(predict, images, both=True)
            return motions, gather_evidence(predict, images, motions)

    def _confidence(self, predict: Callable[[Images], Motions], images: Images, motions: Motions) -> Motions:
        calibration, found = self.require_calibration(), {}
        for name, evidence in gather_evidence(predict, images, motions).items():
            for threshold in THRESHOLDS:
                key = f"confidence_{name}" + ("" if threshold == 3 else f"_{threshold}px")
                found[key] = calibration.probability(name, evidence.float(), threshold)
        return found

    def _motions(self, predict: Callable[[Images], Motions], images: Images, both: bool) -> Motions:
        motions = predict(images)
        if both and "flow_backward" not in motions:
            back = predict({new: images[old] for new, old in REVERSED.items()})
            motions["flow_backward"], motions["disparity_next"] = back["flow"], back["disparity_t0"]
        return motions

    def _pass_for(self, size: tuple[int, int], batch: int) -> Callable[[Images], Motions]:
        """Return the network as a function of images of a size, in tiles where necessary."""
        tile = self._tile_for(size, batch)
        if tile is None:
            return self._network
        return lambda part: predict_tiled(self._network, part, tile, min(self.overlap, min(tile) - 1))

    def _network(self, images: Images) -> Motions:
        first = next(iter(images.values()))
        batch = {**images, "name": [""] * len(first)}
        found = self.model.predict_step(cast(Batch, batch), 0)
        return {name: value.float() for name, value in found.items() if name in _MOTIONS}

    def _tile_for(self, size: tuple[int, int], batch: int) -> tuple[int, int] | None:
        if self.tile == "none":
            return None
        if self.tile != "auto":
            return self.tile if size[0] > self.tile[0] or size[1] > self.tile[1] else None
        free = free_memory(self.model.device)
        width = float(cast(Any, self.model.network).width)
        tile = fitting_tile(self.model.view, size, batch, width, free)
        if tile is not None and size not in self._told:
            self._told.add(size)
            note(
                f"images of {size[0]}x{size[1]} do not fit into {free / 1e9:.1f} GB of free memory: predicted in tiles "
                f"of {tile[0]}x{tile[1]}, blended over {self.overlap} pixels; motions longer than that are unreliable"
            )
        return tile


def as_tensor(image: Image, name: str) -> Tensor:
    """Convert an image (H, W, 3), uint8 or floating point in [0, 1], to (3, H, W) float32 in [0, 1].

    Raises:
        ValueError: another shape, type or range; the message starts with the name.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.inference.predictor import as_tensor
        >>> as_tensor(np.full((2, 4, 3), 51, np.uint8), "left_t0")[:, 0, 0]
        tensor([0.2000, 0.2000, 0.2000])
    """
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"{name} must be RGB of shape (H, W, 3), got {array.shape}")
    if array.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1))).float().div_(255)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} must be uint8, or floating point in [0, 1], got {array.dtype}")
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{name} must be in [0, 1], got {low:.3g} to {high:.3g}: divide an image of 0 to 255 by 255"
        )
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1), dtype=np.float32))


def stacked(samples: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Stack samples of one size: list of key -> (3, H, W) to key -> (B, 3, H, W)."""
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
