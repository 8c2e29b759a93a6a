"""Write the labels of a sample to files that `labels=FOLDER` in a split reads (data/proxies.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flowdistill.data.proxies import FLOW_VIEW, SCENE_FLOW_VIEW
from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.formats import write_kitti_disparity, write_kitti_flow, write_mask
from flowdistill.formats.kitti import DISPARITY_LIMIT, FLOW_LIMIT
from flowdistill.labels.combine import Label, SampleLabels
from flowdistill.labels.config import LabelConfig
from flowdistill.labels.estimate import Mask

# Key of the batch contract -> folder; the flow view's keys are teacher_*.
FOLDERS = {key: folder for key, (folder, _) in SCENE_FLOW_VIEW.items()} | {
    key.removeprefix("teacher_"): folder for key, (folder, _) in FLOW_VIEW.items()
}


def keys_to_write(config: LabelConfig) -> list[str]:
    """Return the keys of the batch contract that the config makes, in the order of writing.

    Examples:
        >>> from flowdistill.labels.config import LabelConfig, Motions, OpenCVPart, TeacherPart
        >>> from flowdistill.labels.writer import keys_to_write
        >>> teachers = {"matcher": TeacherPart(opencv=OpenCVPart())}
        >>> keys_to_write(LabelConfig(teachers, Motions(flow=["matcher"])))
        ['flow', 'flow_backward', 'occluded', 'occluded_backward']
    """
    keys: list[str] = []
    if config.motions.disparity:
        keys.append("disparity_t0")
        if config.motions.flow:
            keys.append("disparity_t1")
    if config.motions.flow:
        keys.append("flow")
        if config.motions.backward:
            keys += ["flow_backward", "occluded", "occluded_backward"]
    return keys


def label_path(folder: Path, entry: SplitEntry, key: str) -> Path:
    """Return the file of one label of a sample under the labels' folder.

    Examples:
        >>> from pathlib import Path
        >>> from flowdistill.data import SplitEntry
        >>> from flowdistill.labels.writer import label_path
        >>> label_path(Path("proxy"), SplitEntry("000000_10"), "flow").as_posix()
        'proxy/left/flow/000000_10.png'
    """
    return folder / entry.camera / FOLDERS[key] / f"{entry.id}.png"


def storable(label: Label) -> Mask:
    """Return a mask (H, W) of where a label's values fit into 16 bits.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.combine import Label
        >>> from flowdistill.labels.writer import storable
        >>> known = np.ones((1, 2), bool)
        >>> storable(Label(np.float32([[[255.0], [256.0]]]), known, np.float32([[1, 1]]), known)).tolist()  # disparity
        [[True, False]]
    """
    low, high = (-FLOW_LIMIT, FLOW_LIMIT) if label.values.shape[2] == 2 else (0.0, DISPARITY_LIMIT)
    fits: Mask = np.logical_and.reduce((label.values >= low) & (label.values < high), axis=2)
    return fits


def write_labels(folder: Path, entry: SplitEntry, labels: SampleLabels) -> None:
    """Write all files of a sample, each atomically; filtered pixels are invalid.

    Raises:
        UserError: a folder cannot be created. FormatError: a file cannot be written.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from flowdistill.data import SplitEntry
        >>> from flowdistill.formats import read_kitti_disparity
        >>> from flowdistill.labels.combine import Label, SampleLabels
        >>> from flowdistill.labels.writer import label_path, write_labels
        >>> known, keep = np.array([[True, True]]), np.array([[True, False]])
        >>> label = Label(np.float32([[[8.0], [9.0]]]), known, np.float32([[0.9, 0.2]]), keep)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_labels(Path(folder), SplitEntry("000000_10"), SampleLabels({"disparity_t0": label}, {}))
        ...     path = label_path(Path(folder), SplitEntry("000000_10"), "disparity_t0")
        ...     disparity, valid = read_kitti_disparity(path)
        >>> disparity[..., 0].tolist(), valid.tolist()
        ([[8.0, 0.0]], [[True, False]])
    """
    for key, label in labels.motions.items():
        path = _ready(label_path(folder, entry, key))
        write = write_kitti_flow if label.values.shape[2] == 2 else write_kitti_disparity
        write(path, label.values, label.keep)
    for key, mask in labels.occluded.items():
        write_mask(_ready(label_path(folder, entry, key)), np.asarray(mask))


def _ready(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent}: cannot make the folder ({error.strerror or error}).") from error
    return path
