"""Write predictions: KITTI's 16-bit files and colour pictures; Sintel's flow; or labels for a student.

OUTPUT/flow/000000_10.png          16-bit flow            OUTPUT/flow_colour/...       colour wheel
OUTPUT/flow_backward/...           16-bit flow            OUTPUT/occluded/...          255 = occluded
OUTPUT/disp_0/... OUTPUT/disp_1/...16-bit disparity       OUTPUT/disp_0_colour/... disp_1_colour/...
OUTPUT/flow_error/... disp_0_error/... disp_1_error/...   if the batch has ground truth

As Sintel's flow, which `flowdistill evaluate sintel` reads (Sintel's samples are named clean/alley_1/frame_0001):

OUTPUT/clean/alley_1/frame_0001.flo

As labels (read by data/proxies.py), for the sample's camera:

OUTPUT/left/flow/000000_10.png     16-bit flow            OUTPUT/left/flow_backward/...
OUTPUT/left/occlusion/...          8 bit, 255 = occluded  OUTPUT/left/occlusion_backward/...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from flowdistill.data.frame_ids import RIGHT
from flowdistill.data.proxies import FLOW_VIEW
from flowdistill.data.sample import Batch
from flowdistill.errors import UserError
from flowdistill.formats import write_flo, write_image, write_kitti_disparity, write_kitti_flow, write_mask
from flowdistill.formats.kitti import FOLDERS
from flowdistill.inference.predict import to_array
from flowdistill.visual import disparity_to_colours, error_to_colours, flow_to_colours

# Key of the batch contract -> folder.
MOTIONS = {**FOLDERS, "flow_backward": "flow_backward"}
MASKS = ("occluded", "occluded_backward")  # each is its own folder
LABELS = {key.removeprefix("teacher_"): folder for key, (folder, _) in FLOW_VIEW.items()}


class PredictionWriter(BasePredictionWriter):
    """Writes the predictions of `lightning predict`, batch by batch.

    Args:
        output: folder for the files; created if missing, files of the same name are overwritten.
        layout: "kitti" writes KITTI's formats and pictures; "sintel" only flow, as .flo; "labels" writes flow and
            occlusion of both directions, without pictures, for an offline teacher.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from flowdistill.formats import read_flo
        >>> from flowdistill.inference.writer import PredictionWriter
        >>> prediction = {"flow": torch.full((1, 2, 64, 96), 1.5)}  # px; as returned by predict_step
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     writer = PredictionWriter(folder, layout="sintel")
        ...     writer.write_on_batch_end(None, None, prediction, None, {"name": ["clean/alley_1/frame_0001"]}, 0, 0)
        ...     flow = read_flo(Path(folder, "clean", "alley_1", "frame_0001.flo"))
        >>> flow.shape, flow.mean().item()
        ((64, 96, 2), 1.5)
    """

    def __init__(
        self, output: str = "predictions", layout: Literal["kitti", "sintel", "labels"] = "kitti"
    ) -> None:
        super().__init__(write_interval="batch")
        self.output = Path(output)
        self.layout = layout

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
            if self.layout == "labels":
                write_labels(self.output, name, prediction, row)
            elif self.layout == "sintel":
                write_flo(_file(self.output, "", name, ".flo"), to_array(prediction["flow"][row]))
            else:
                write_prediction(self.output, name, prediction, batch, row)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        what = "labels" if self.layout == "labels" else "predictions"
        rank_zero_info(f"{what} are in {self.output.resolve()}")


def write_prediction(
    output: Path, name: str, prediction: Mapping[str, Tensor], batch: Batch, row: int
) -> None:
    """Write one sample's predicted motions, their pictures and, with ground truth, their error maps.

    Args:
        output: folder.
        name: of the sample; files are named NAME.png.
        prediction: keys of the batch contract -> (B, C, H, W).
        batch: the model's input; its labels, if present, are used for the error maps.
        row: index of the sample in the batch.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from flowdistill.formats import read_kitti_disparity
        >>> from flowdistill.inference.writer import write_prediction
        >>> prediction = {"disparity_t0": torch.full((1, 1, 64, 96), 37.5)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_prediction(Path(folder), "000000_10", prediction, {}, row=0)
        ...     disparity, valid = read_kitti_disparity(Path(folder, "disp_0", "000000_10.png"))
        ...     folders = sorted(path.name for path in Path(folder).iterdir())
        >>> disparity.mean().item(), folders
        (37.5, ['disp_0', 'disp_0_colour'])
    """
    for key, value in prediction.items():
        array = to_array(value[row])
        if key in MASKS:
            write_image(_file(output, key, name), np.repeat(array.astype(np.uint8) * 255, 3, axis=2))
            continue
        if key not in MOTIONS:
            raise KeyError(f"no file format is known for a prediction named {key!r}")
        folder, is_flow = MOTIONS[key], key in ("flow", "flow_backward")
        write = write_kitti_flow if is_flow else write_kitti_disparity
        write(_file(output, folder, name), array)
        colours = flow_to_colours if is_flow else disparity_to_colours
        write_image(_file(output, f"{folder}_colour", name), colours(array))
        if key in batch and f"valid_{key}" in batch:
            labels = cast(Mapping[str, Tensor], batch)
            truth, valid = to_array(labels[key][row]), to_array(labels[f"valid_{key}"][row])[..., 0]
            error = np.linalg.norm(array - truth, axis=2)
            magnitude = np.linalg.norm(truth, axis=2)
            write_image(_file(output, f"{folder}_error", name), error_to_colours(error, magnitude, valid))


def write_labels(output: Path, name: str, prediction: Mapping[str, Tensor], row: int) -> None:
    """Write one sample's flow and occlusion, both directions, as labels of an offline teacher.

    Flow that does not fit into 16 bits is written as invalid, which a student's data treats as occluded.

    Args:
        output: the labels' folder.
        name: of the sample; the suffix `_right` means the right camera.
        prediction: `flow`, `flow_backward` (B, 2, H, W) px, `occluded`, `occluded_backward` (B, 1, H, W) bool.
        row: index of the sample in the batch.

    Raises:
        UserError: the model does not predict all of these.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from flowdistill.inference.writer import write_labels
        >>> flow, mask = torch.zeros(1, 2, 64, 96), torch.zeros(1, 1, 64, 96, dtype=torch.bool)
        >>> found = {"flow": flow, "flow_backward": flow, "occluded": mask, "occluded_backward": mask}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_labels(Path(folder), "000000_10_right", found, row=0)
        ...     sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.png"))[:2]
        ['right/flow/000000_10.png', 'right/flow_backward/000000_10.png']
    """
    missing = [key for key in LABELS if key not in prediction]
    if missing:
        raise UserError(
            f"--prediction.layout labels writes flow and occlusion of both directions, but this model predicts no "
            f"{', '.join(missing)}; use a checkpoint of DDFlowModule, or --prediction.layout kitti"
        )
    camera = "right" if name.endswith(RIGHT) else "left"
    folder, sample = output / camera, name.removesuffix(RIGHT)
    for key, place in LABELS.items():
        write = write_mask if key in MASKS else write_kitti_flow
        write(_file(folder, place, sample), to_array(prediction[key][row]))


def _file(output: Path, folder: str, name: str, suffix: str = ".png") -> Path:
    path = output / folder / f"{name}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
