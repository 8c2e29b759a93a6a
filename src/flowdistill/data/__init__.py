"""The batch contract, splits, datasets, transforms and the LightningDataModule.

Names are imported on first use: the datamodule needs Lightning, reading a split file does not.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowdistill.data.chairs import ChairsDataset
    from flowdistill.data.datamodule import MotionDataModule
    from flowdistill.data.dataset import MotionDataset
    from flowdistill.data.datasets import open_dataset
    from flowdistill.data.files import SampleFile
    from flowdistill.data.folder import FolderDataset
    from flowdistill.data.kitti import KittiDataset
    from flowdistill.data.kitti2012 import Kitti2012Dataset
    from flowdistill.data.mixture import Mixture
    from flowdistill.data.sample import Batch, Sample, collate
    from flowdistill.data.sampler import InfiniteBatches
    from flowdistill.data.sintel import SintelDataset
    from flowdistill.data.split_rules import write_splits
    from flowdistill.data.splits import SplitEntry, read_split
    from flowdistill.data.things import ThingsDataset
    from flowdistill.data.things_subset import ThingsSubsetDataset
    from flowdistill.data.views import Source, View

__all__ = [
    "Batch",
    "ChairsDataset",
    "FolderDataset",
    "InfiniteBatches",
    "Kitti2012Dataset",
    "KittiDataset",
    "Mixture",
    "MotionDataModule",
    "MotionDataset",
    "Sample",
    "SampleFile",
    "SintelDataset",
    "Source",
    "SplitEntry",
    "ThingsDataset",
    "ThingsSubsetDataset",
    "View",
    "collate",
    "open_dataset",
    "read_split",
    "write_splits",
]

_MODULE_OF = {
    "Batch": "sample", "ChairsDataset": "chairs", "FolderDataset": "folder", "InfiniteBatches": "sampler",
    "Kitti2012Dataset": "kitti2012", "KittiDataset": "kitti", "Mixture": "mixture",
    "MotionDataModule": "datamodule", "MotionDataset": "dataset", "Sample": "sample", "SampleFile": "files",
    "SintelDataset": "sintel", "Source": "views", "SplitEntry": "splits", "ThingsDataset": "things",
    "ThingsSubsetDataset": "things_subset", "View": "views", "collate": "sample",
    "open_dataset": "datasets", "read_split": "splits", "write_splits": "split_rules",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
