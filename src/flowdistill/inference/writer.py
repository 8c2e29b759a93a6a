"""Predictions on disk: KITTI's 16-bit files, and colour pictures to look at.

OUTPUT/flow/000000_10.png          16-bit flow            OUTPUT/flow_colour/...       colour wheel
OUTPUT/flow_backward/...           16-bit flow            OUTPUT/occluded/...          255 = occluded
OUTPUT/disp_0/... OUTPUT/disp_1/...16-bit disparity       OUTPUT/disp_0_colour/... disp_1_colour/...
OUTPUT/flow_error/... disp_0_error/... disp_1_error/...   where the batch holds truth
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from flowdistill.data.sample import Batch
from flowdistill.errors import UserError
from flowdistill.formats import write_image, write_kitti_disparity, write_kitti_flow
from flowdistill.visual import disparity_to_colours, error_to_colours, flow_to_colours

# Key of the batch contract -> folder.
FLOWS = {"flow": "flow", "flow_backward": "flow_backward"}
DISPARITIES = {"disparity_t0": "disp_0", "disparity_t1": "disp_1"}
MASKS = {"occluded": "occluded", "occluded_backward": "occluded_backward"}


class PredictionWriter(BasePredictionWriter):
    """Writes what `lightning predict` finds, batch by batch.

    Args:
        output: folder for the files; created where missing, files of the same name are replaced.
    """

    def __init__(self, output: str = "predictions") -> None:
        super().__init__(write_interval="batch")
        self.output = Path(output)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "predict":
            try:
                self.output.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(
                    f"--prediction.output: cannot write to {self.output}: {error.strerror}; choose another folder"
                ) from error

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        for row, name in enumerate(batch["name"]):
            write_prediction(self.output, name, prediction, batch, row)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        rank_zero_info(f"predictions are in {self.output.resolve()}")


def write_prediction(
    output: Path, name: str, prediction: Mapping[str, Tensor], batch: Batch, row: int
) -> None:
    """Write one sample's predicted motions, their pictures and, with truth, their error maps.

    Args:
        output: folder.
        name: of the sample; files are called NAME.png.
        prediction: keys of the batch contract -> (B, C, H, W).
        batch: what was predicted from; its labels, where present, give the error maps.
        row: which sample of the batch.
    """
    for key, value in prediction.items():
        array = _hwc(value[row])
        if key in FLOWS:
            folder = FLOWS[key]
            write_kitti_flow(_file(output, folder, name), array)
            write_image(_file(output, f"{folder}_colour", name), flow_to_colours(array))
        elif key in DISPARITIES:
            folder = DISPARITIES[key]
            write_kitti_disparity(_file(output, folder, name), array)
            write_image(_file(output, f"{folder}_colour", name), disparity_to_colours(array))
        elif key in MASKS:
            picture = np.repeat(array.astype(np.uint8) * 255, 3, axis=2)
            write_image(_file(output, MASKS[key], name), picture)
            continue
        else:
            raise KeyError(f"no file format is known for a prediction called {key!r}")
        if key in batch and f"valid_{key}" in batch:
            labels = cast(Mapping[str, Tensor], batch)
            truth, valid = _hwc(labels[key][row]), _hwc(labels[f"valid_{key}"][row])[..., 0]
            error = np.linalg.norm(array - truth, axis=2)
            magnitude = np.linalg.norm(truth, axis=2)
            write_image(_file(output, f"{folder}_error", name), error_to_colours(error, magnitude, valid))


def _hwc(value: Tensor) -> np.ndarray:
    array: np.ndarray = (
        value.detach().float().cpu().numpy() if value.dtype.is_floating_point else value.cpu().numpy()
    )
    return np.ascontiguousarray(array.transpose(1, 2, 0))


def _file(output: Path, folder: str, name: str) -> Path:
    path = output / folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
