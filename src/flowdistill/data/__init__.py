"""The data room: the batch contract, splits, datasets, transforms and the LightningDataModules.

Names are imported when they are first used: a datamodule brings Lightning with it, a split file does not.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowdistill.data.datamodule import KittiDataModule, View
    from flowdistill.data.kitti import KittiDataset
    from flowdistill.data.kitti_tree import scan
    from flowdistill.data.sample import Batch, Sample, collate
    from flowdistill.data.sampler import InfiniteBatches
    from flowdistill.data.split_rules import write_splits
    from flowdistill.data.splits import SplitEntry, read_split

__all__ = [
    "Batch",
    "InfiniteBatches",
    "KittiDataModule",
    "KittiDataset",
    "Sample",
    "SplitEntry",
    "View",
    "collate",
    "read_split",
    "scan",
    "write_splits",
]

_MODULE_OF = {
    "Batch": "sample",
    "InfiniteBatches": "sampler",
    "KittiDataModule": "datamodule",
    "KittiDataset": "kitti",
    "Sample": "sample",
    "SplitEntry": "splits",
    "View": "datamodule",
    "collate": "sample",
    "read_split": "splits",
    "scan": "kitti_tree",
    "write_splits": "split_rules",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
