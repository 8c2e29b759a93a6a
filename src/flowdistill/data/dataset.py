"""Base class of all datasets: lists the files of each sample and reads them.

Each dataset's module documents its layout, units, signs and masks, and the ids of its split files.
"""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
from tqdm import tqdm

from flowdistill.data.access import is_folder
from flowdistill.data.assembly import ESSENTIAL, add_content, check_size, finish, keys_of
from flowdistill.data.files import IMAGE, Content, FileKind, SampleFile
from flowdistill.data.index import SplitIndex
from flowdistill.data.missing_files import raise_missing
from flowdistill.data.options import Option, choose_options
from flowdistill.data.proxies import proxy_files
from flowdistill.data.sample import Sample
from flowdistill.data.splits import CAMERAS, BadLine, Camera, SplitEntry, examine_split
from flowdistill.data.tree import Listings, find_root
from flowdistill.errors import UserError

ViewName = Literal["flow", "scene_flow"]


class MotionDataset(ABC):
    """Samples of the batch contract from one layout of files, as a map-style dataset.

    Two views of the same files: `flow`, two frames of one camera; `scene_flow`, two frames of both. In the flow view
    `left_t0` and `left_t1` are the frames of the entry's camera, left or right.

    All samples of a dataset have the same keys (`keys`). If entries with and without `labels=` are mixed, these are the
    keys common to both: flow, disparities and their masks, but no `_noc` masks and no foreground.

    Args:
        root: the data folder.
        entries: the samples, from a split file or `named_split`.
        view: see above.
        labels: whether to read labels: ground truth, or in the scene-flow view the proxy labels of an entry that has
            any. (In the flow view proxy labels are the teacher's predictions and are always read.)
        options: name -> value, for names in `option_values`.
        require_files: whether the constructor raises if files are missing (else see `missing`).
        split: the source of the entries, for messages: a file's path or a word such as scan.

    Raises:
        UserError: from the constructor if anything that the entries need is missing or not available for them;
            from indexing if the files of one sample differ in size or a sign is wrong.
        FormatError: from indexing, for a damaged file.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.data import MotionDataset, open_dataset
        >>> from flowdistill.formats import write_image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for frame in range(3):
        ...         write_image(f"{root}/{frame:04d}.png", np.zeros((64, 96, 3), np.uint8))
        ...     dataset: MotionDataset = open_dataset("folder", root, "scan", "flow", labels=False)
        ...     sample = dataset[0]
        >>> len(dataset), sorted(dataset.keys), sample["left_t0"].shape, sample["size"]
        (2, ['left_t0', 'left_t1'], torch.Size([3, 64, 96]), tensor([64, 96]))
    """

    name: ClassVar[str]
    """As in a data config: `dataset: things`."""
    title: ClassVar[str]
    """The name used in messages: "FlyingThings3D"."""
    id_form: ClassVar[re.Pattern[str]]
    id_words: ClassVar[str]
    """A description of the id format, with an example."""
    views: ClassVar[tuple[ViewName, ...]] = ("flow", "scene_flow")
    cameras: ClassVar[tuple[Camera, ...]] = CAMERAS
    labelled_cameras: ClassVar[tuple[Camera, ...]] = ("left",)
    option_values: ClassVar[Mapping[str, Option]] = {}
    split_words: ClassVar[tuple[str, ...]] = ("scan",)
    """Words that can be used instead of a split file."""

    def __init__(
        self,
        root: str | Path | None,
        entries: Iterable[SplitEntry],
        view: ViewName,
        labels: bool,
        options: Mapping[str, str | int] | None = None,
        require_files: bool = True,
        split: str | None = None,
    ) -> None:
        if view not in self.views:
            raise UserError(f"{self.title} has one camera, so it has no {view} view. Train on flow alone.")
        self.options = self.chosen_options(options)
        self.root = self.find_root(root, self.options)
        self.entries = SplitIndex(entries)
        self.view = view
        self.labels = labels
        self.split = split
        self._folders: dict[str, bool] = {}
        by_proxies = view == "scene_flow" and all(
            entry.labels is not None for entry in self.entries.one_of_each()
        )
        if labels and not by_proxies and (reason := self.without_truth()) is not None:
            raise UserError(
                f"{self.title}: {reason}. Set --data.init_args.val_labels and --data.init_args.predict_labels false."
            )
        for entry in self.entries:
            self.check_use(entry, view, labels)
        self.keys = frozenset[str]()
        self._settle_keys()
        if require_files:
            missing = (file for _, file in self.missing())
            everything = (file for index in range(len(self)) for file in self.files(index))
            raise_missing(missing, everything, self.view, may_scan=self.split not in self.split_words)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Sample:
        entry = self.entries[index]
        sample: dict[str, Any] = {}
        first: tuple[str, tuple[int, ...]] | None = None
        for file in self._files(entry):
            content = file.kind.read(file.path)
            if isinstance(content, Content):
                first = first or (file.path, content.values.shape[:2])
                check_size(file.path, content, *first)
            add_content(sample, file, content, entry.camera)
        finish(sample)
        sample = {key: value for key, value in sample.items() if key in self.keys}
        sample["name"] = entry.name
        sample["size"] = torch.tensor(sample["left_t0"].shape[-2:], dtype=torch.int64)
        return cast(Sample, sample)

    def files(self, index: int) -> list[SampleFile]:
        """Return all files of one sample in reading order, without opening them."""
        return self._files(self.entries[index])

    def missing(self) -> Iterator[tuple[int, SampleFile]]:
        """Yield (sample index, file) for each missing file; each folder is listed once."""
        present = Listings()
        # Long splits over many folders take a while on a network disk.
        for index in tqdm(range(len(self)), desc=f"files of {self.title}", unit="sample", delay=2):
            for file in self.files(index):
                if not present.has(file.path):
                    yield index, file

    def restrict(self, keys: Iterable[str]) -> None:
        """Restrict every sample to `keys`."""
        self.keys &= frozenset(keys)

    @abstractmethod
    def images(self, entry: SplitEntry) -> list[SampleFile]:
        """Return the image files of an entry in this view."""

    @abstractmethod
    def truth(self, entry: SplitEntry) -> list[SampleFile]:
        """Return the ground-truth files of an entry in this view."""

    def image_files(
        self, entry: SplitEntry, path: Callable[[Camera, int], str], kind: FileKind = IMAGE
    ) -> list[SampleFile]:
        """Return the image files of an entry in this view, from the path of each camera's frame at time 0 and 1."""
        cameras = {"left": entry.camera} if self.view == "flow" else {camera: camera for camera in CAMERAS}
        return [
            SampleFile(f"{side}_t{time}", path(camera, time), kind, "image")
            for time in (0, 1)
            for side, camera in cameras.items()
        ]

    def extras(self, entry: SplitEntry) -> list[SampleFile]:
        """Return the files that are neither images nor labels: calibration."""
        return []

    def has_folder(self, folder: str) -> bool:
        """Whether the folder exists under the root; cached."""
        if folder not in self._folders:
            self._folders[folder] = is_folder(Path(self.root, folder))
        return self._folders[folder]

    def without_truth(self) -> str | None:
        """Return the reason why the chosen options have no ground truth, or None."""
        return None

    @classmethod
    @abstractmethod
    def markers(cls, options: Mapping[str, str]) -> list[str]:
        """Return folders under the root, at least one of which must exist."""

    @classmethod
    @abstractmethod
    def named_split(cls, word: str, root: str, options: Mapping[str, str]) -> list[SplitEntry]:
        """Return the entries for one of `split_words`. Raises UserError if there are none."""

    @classmethod
    def with_images(
        cls, entries: list[SplitEntry], root: str, options: Mapping[str, str], view: ViewName
    ) -> list[SplitEntry]:
        """Return the entries of a scan that have the images a view needs, in layouts where images can be missing."""
        return entries

    @classmethod
    def no_pair(cls, entry: SplitEntry, root: str, present: Listings) -> str | None:
        """Return the reason why the frames of a split file's entry are not consecutive, from the files present."""
        return None

    @classmethod
    def select(cls, entries: list[SplitEntry], options: Mapping[str, str]) -> list[SplitEntry]:
        """Return the entries of a split that the options select."""
        return entries

    @classmethod
    def find_root(cls, root: str | Path | None, options: Mapping[str, str]) -> str:
        """Return the data folder. Raises UserError if it does not contain this layout."""
        return find_root(root, cls.title, cls.markers(options), cls._with_other_options(root, options))

    @classmethod
    def _with_other_options(cls, root: str | Path | None, options: Mapping[str, str]) -> str:
        """A hint that the root contains this layout for another value of an option, or ""."""
        enumerated = {name: values for name, values in cls.option_values.items() if isinstance(values, tuple)}
        for name, value in [(name, value) for name, values in enumerated.items() for value in values]:
            folder = Path(root or "").expanduser() / cls.markers({**options, name: value})[0]
            if root and options[name] != value and os.path.isdir(folder):
                option = f"`options: {{{name}: {value}}}` (--data.init_args.options.{name} {value})"
                return f". {folder} exists: select it with {option}"
        return ""

    @classmethod
    def read_split(
        cls,
        path: str,
        root: str | None,
        options: Mapping[str, str],
        check: Callable[[SplitEntry], object],
    ) -> tuple[list[SplitEntry], list[BadLine]]:
        """Return the entries of a split file and its invalid lines, including those that `check` rejects.

        Raises:
            UserError: if the file cannot be read or is empty.
        """
        return examine_split(path, check)

    @classmethod
    def chosen_options(cls, options: Mapping[str, str | int] | None) -> dict[str, str]:
        """Return a value for every option. Raises UserError for an unknown name or value."""
        return choose_options(cls.name, cls.option_values, options)

    @classmethod
    def match_id(cls, entry: SplitEntry) -> re.Match[str]:
        """Return the parts of an id. Raises UserError if the id is malformed."""
        match = cls.id_form.fullmatch(entry.id)
        if match is None:
            raise UserError(
                f"{entry.id!r} is not a valid id for {cls.title}: expected {cls.id_words}. Correct the line, or use a "
                f"split of this data set (dataset: {cls.name})."
            )
        return match

    @classmethod
    def check_entry(cls, entry: SplitEntry) -> None:
        """Raise UserError for a malformed id or a camera that does not exist."""
        cls.match_id(entry)
        if entry.camera not in cls.cameras:
            raise UserError(f"Sample {entry.id} has camera={entry.camera}, but {cls.title} has one camera.")

    @classmethod
    def check_use(cls, entry: SplitEntry, view: ViewName, labels: bool) -> None:
        """Raise UserError as `check_entry` does, or if the view or its labels do not exist for the camera."""
        cls.check_entry(entry)
        if entry.camera == "left":
            return
        if view == "scene_flow":
            reason = "the scene-flow view starts from the left camera only"
        elif labels and entry.camera not in cls.labelled_cameras:
            reason = "labels exist for the left camera only"
        else:
            return
        raise UserError(
            f"Sample {entry.id} has camera=right, but {reason}. "
            "Use another split, or the flow view without labels."
        )

    def _files(self, entry: SplitEntry) -> list[SampleFile]:
        wanted = self.keys
        if "valid_flow_noc" in wanted:
            wanted = wanted | {"occluded"}  # valid_flow_noc may be derived from it
        return [file for file in self._all_files(entry) if file.key in wanted]

    def _all_files(self, entry: SplitEntry) -> list[SampleFile]:
        files = self.images(entry)
        proxies = [] if entry.labels is None else proxy_files(self.root, entry, self.view)
        if self.labels:
            replaced = proxies and self.view == "scene_flow"
            files += proxies if replaced else self.truth(entry)
        if self.view == "flow":
            files += proxies
        return files + self.extras(entry)

    def _settle_keys(self) -> None:
        """Set `keys` to the keys that every sample has."""
        kinds = [(entry, keys_of(self._all_files(entry))) for entry in self.entries.one_of_each()]
        if not kinds:
            return
        self.keys = frozenset(set.intersection(*(keys for _, keys in kinds)))
        for entry, keys in kinds:
            if only := sorted((keys - self.keys) & ESSENTIAL):
                raise UserError(
                    f"The samples of one split must have the same keys, but in this one only some have "
                    f"{', '.join(only)}, for example {entry.line!r}. In the flow view either all lines have labels= or "
                    "none; with ground truth and proxies in the scene-flow view both must have all labels."
                )
