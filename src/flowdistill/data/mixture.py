"""A weighted mixture of several datasets: "100 x Sintel + Things"."""

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
    """A dataset of a mixture, and the number of times each of its samples occurs."""

    dataset: MotionDataset
    weight: int
    place: str
    """Path of its entry in the config, for messages."""


class Mixture:
    """A map-style dataset that contains each sample of a part `weight` times.

    The sampler handles it like any dataset, so the order remains a pure function of (seed, step, rank), and each
    epoch contains every sample exactly `weight` times. Samples are named DATASET:NAME.

    All samples have the same keys, so that batches can be collated: keys of only some parts (`_noc` masks, occlusion,
    calibration, ...) are left out, and a note is printed.

    Raises:
        UserError: for a weight below 1, or if parts differ in the essential keys (images, flow, disparities and their
            masks, teachers).

    Examples:
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
                    f"{part.place}.weight is the number of times each sample occurs: 1 or more, not {part.weight}."
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
        """Return all files of one sample, without opening them."""
        dataset, inner = self._locate(index)
        return dataset.files(inner)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of every sample, besides `name` and `size`."""
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
            raise UserError(f"The sources of a mixture must have the same keys, but these differ:\n{listed}")
        if differing:
            listed = "; ".join(f"{key} (only {', '.join(holders[key])})" for key in differing)
            note(f"mixture: left out, because not every source has it: {listed}")
        for part in self.parts:
            part.dataset.restrict(common)
