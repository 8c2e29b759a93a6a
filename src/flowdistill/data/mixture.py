"""Several datasets as one: "100 x Sintel + Things"."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowdistill.data.assembly import ESSENTIAL
from flowdistill.data.dataset import MotionDataset
from flowdistill.data.files import SampleFile
from flowdistill.data.notes import note
from flowdistill.data.sample import Sample
from flowdistill.errors import UserError


@dataclass(frozen=True)
class Part:
    """A dataset of a mixture, and how many times each of its samples counts."""

    dataset: MotionDataset
    weight: int
    place: str
    """Of its entry in the config, for messages."""


class Mixture:
    """A map-style dataset in which sample i of a part stands `weight` times.

    The sampler runs through it as through any dataset, so its order stays a pure function of (seed, step, rank), and
    each epoch holds every sample exactly `weight` times. Samples are called DATASET:NAME.

    All samples have the same keys, so that batches collate: what only some parts have (`_noc` masks, occlusion,
    calibration, ...) is left out, and a remark says so.

    Raises:
        UserError: a weight below 1, or parts that differ in what the view is about (images, flow, disparities and their
            masks, teachers).

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.data import Mixture, open_dataset
        >>> from flowdistill.data.mixture import Part
        >>> from flowdistill.formats import write_image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for frame in range(3):
        ...         write_image(f"{root}/{frame:04d}.png", np.zeros((64, 96, 3), np.uint8))
        ...     pairs = open_dataset("folder", root, "scan", "flow", labels=False)
        ...     mixture = Mixture([Part(pairs, weight=100, place="first"), Part(pairs, weight=1, place="second")])
        ...     name = mixture[0]["name"]
        >>> len(mixture), name  # two pairs, each 101 times
        (202, 'folder:0000')
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if part.weight < 1:
                raise UserError(
                    f"{part.place}.weight says how often each sample counts: 1 or more, not {part.weight}."
                )
        self.parts = tuple(parts)
        self._ends = np.cumsum([len(part.dataset) * part.weight for part in parts]).tolist()
        self._use_common_keys()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Sample:
        dataset, inner = self._locate(index)
        sample = dataset[inner]
        sample["name"] = f"{dataset.name}:{sample['name']}"
        return sample

    def files(self, index: int) -> list[SampleFile]:
        """Every file of one sample; nothing is opened."""
        dataset, inner = self._locate(index)
        return dataset.files(inner)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of every sample, beside `name` and `size`."""
        return self.parts[0].dataset.keys

    def _locate(self, index: int) -> tuple[MotionDataset, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self._ends, index)
        dataset = self.parts[number].dataset
        offset = index - (self._ends[number - 1] if number else 0)
        return dataset, offset % len(dataset)

    def _use_common_keys(self) -> None:
        common = frozenset.intersection(*(part.dataset.keys for part in self.parts))
        everything = frozenset[str]().union(*(part.dataset.keys for part in self.parts))
        differing = sorted(everything - common)
        holders = {key: [part.place for part in self.parts if key in part.dataset.keys] for key in differing}
        if essential := [key for key in differing if key in ESSENTIAL]:
            listed = "\n".join(f"  {key}: only {', '.join(holders[key])}" for key in essential)
            raise UserError(
                f"The sources of a mixture must give the same things, but these differ:\n{listed}"
            )
        if differing:
            listed = "; ".join(f"{key} (only {', '.join(holders[key])})" for key in differing)
            note(f"mixture: left out, because not every source has it: {listed}")
        for part in self.parts:
            part.dataset.restrict(common)
