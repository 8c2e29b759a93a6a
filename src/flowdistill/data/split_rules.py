"""The rules that generate `data_splits/`: one rule per file, stated in the file's first line."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from flowdistill.data.chairs_split import split_ids
from flowdistill.data.splits import CAMERAS, SplitEntry
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically


@dataclass(frozen=True)
class SplitRule:
    """A named split: a sentence that states its rule and the function that implements it."""

    name: str
    sentence: str
    entries: Callable[[], Iterable[SplitEntry]]

    def text(self) -> str:
        """Return the text of the split file."""
        lines = [f"# {self.name}: {self.sentence}", "# Written by `flowdistill data splits`; do not edit."]
        lines += [entry.line for entry in self.entries()]
        return "\n".join(lines) + "\n"


def write_splits(folder: str | Path) -> list[Path]:
    """Write all split files into `folder`, which is created if needed, and return their paths.

    Raises:
        UserError: if the folder cannot be written.

    Examples:
        >>> import tempfile
        >>> from flowdistill.data import read_split, write_splits
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = {path.stem: path for path in write_splits(folder)}
        ...     train, val = read_split(paths["chairs_train"]), read_split(paths["chairs_val"])
        >>> len(train), len(val)
        (22232, 640)
    """
    folder = Path(folder)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for rule in RULES:
            path = folder / f"{rule.name}.txt"
            write_atomically(path, rule.text().encode())
            written.append(path)
    except OSError as error:
        raise UserError(
            f"The splits cannot be written to {folder}: {error}. Choose another --output."
        ) from error
    return written


def _frames(sequences: range, frames: Iterable[int]) -> list[SplitEntry]:
    frames = list(frames)
    return [SplitEntry(f"{sequence:06d}_{frame:02d}") for sequence in sequences for frame in frames]


def _ddflow_pairs(sequences: int) -> list[SplitEntry]:
    first_frames = [*range(8), *range(13, 20)]
    return [
        SplitEntry(f"{sequence:06d}_{frame:02d}", camera)
        for sequence in range(sequences)
        for camera in CAMERAS
        for frame in first_frames
    ]


def _proxied(sequences: range) -> list[SplitEntry]:
    return [replace(entry, labels=PROXY) for entry in _frames(sequences, range(20))]


def _mixed() -> list[SplitEntry]:
    return [
        replace(entry, labels=None) if entry.id.endswith("_10") else entry for entry in _proxied(range(160))
    ]


def _rendered_gt() -> list[SplitEntry]:
    return _frames(range(0, 240, 10), [0])


def _rendered_px() -> list[SplitEntry]:
    return [replace(entry, labels=PROXY) for entry in _frames(range(240), [0, 1])]


def _rendered_gt_px() -> list[SplitEntry]:
    true = {entry.id: entry for entry in _rendered_gt()}
    return [true.get(entry.id, entry) for entry in _rendered_px()]


def _sintel(scenes: Iterable[str]) -> list[SplitEntry]:
    scenes = list(scenes)
    return [
        SplitEntry(f"{render_pass}/{scene}/frame_{frame:04d}")
        for render_pass in ("clean", "final")
        for scene in scenes
        for frame in range(1, SINTEL_FRAMES[scene])
    ]


def _chairs(part: str) -> list[SplitEntry]:
    return [SplitEntry(id_) for id_ in split_ids(part)]


PROXY = "proxy"
"""The folder given by `labels=` in the splits with proxy labels."""

# Number of frames of MPI-Sintel's training scenes.
SINTEL_FRAMES = {
    "alley_1": 50, "alley_2": 50, "ambush_2": 21, "ambush_4": 33, "ambush_5": 50, "ambush_6": 20, "ambush_7": 50,
    "bamboo_1": 50, "bamboo_2": 50, "bandage_1": 50, "bandage_2": 50, "cave_2": 50, "cave_4": 50, "market_2": 50,
    "market_5": 50, "market_6": 40, "mountain_1": 50, "shaman_2": 50, "shaman_3": 50, "sleeping_1": 50,
    "sleeping_2": 50, "temple_2": 50, "temple_3": 50,
}  # fmt: skip
SINTEL_VALIDATION = ("ambush_2", "ambush_6", "bamboo_2", "cave_4", "market_6", "temple_2")

RULES = (
    SplitRule(
        "kitti_200",
        "frame 10 of the sequences 0-199 of KITTI 2015, i.e. every frame with ground truth",
        lambda: _frames(range(200), [10]),
    ),
    SplitRule(
        "kitti_160",
        "frame 10 of the sequences 0-159 of KITTI 2015; its rest is kitti_40",
        lambda: _frames(range(160), [10]),
    ),
    SplitRule(
        "kitti_40",
        "frame 10 of the sequences 160-199 of KITTI 2015, the rest of kitti_160",
        lambda: _frames(range(160, 200), [10]),
    ),
    SplitRule(
        "kitti_multiview",
        "frames 0-19 of the sequences 0-199 of KITTI 2015's multi-view extension, all with proxy labels",
        lambda: _proxied(range(200)),
    ),
    SplitRule(
        "kitti_multiview_partial",
        "frames 0-19 of the sequences 0-159 of KITTI 2015's multi-view extension, all with proxy labels; it shares no "
        "sequence with kitti_40",
        lambda: _proxied(range(160)),
    ),
    SplitRule(
        "kitti_mixed",
        "as kitti_multiview_partial, but frame 10 has its ground truth instead of proxy labels",
        _mixed,
    ),
    SplitRule(
        "kitti_multiview_ddflow",
        "pairs (0,1)...(7,8) and (13,14)...(19,20) of the 200 sequences and both cameras of KITTI 2015's "
        "multi-view extension; nothing touches frames 09-12, which have or neighbour ground truth",
        lambda: _ddflow_pairs(200),
    ),
    SplitRule(
        "kitti2012_194",
        "frame 10 of the sequences 0-193 of KITTI 2012, i.e. every frame with ground truth",
        lambda: _frames(range(194), [10]),
    ),
    SplitRule(
        "kitti2012_195",
        "frame 10 of the sequences 0-194 of KITTI 2012's testing part, for a submission",
        lambda: _frames(range(195), [10]),
    ),
    SplitRule(
        "kitti2012_multiview_ddflow",
        "pairs (0,1)...(7,8) and (13,14)...(19,20) of the 194 training sequences and both cameras of KITTI 2012's "
        "multi-view extension; nothing touches frames 09-12, which have or neighbour ground truth",
        lambda: _ddflow_pairs(194),
    ),
    SplitRule(
        "sintel_all",
        "every pair of MPI-Sintel's 23 training scenes, clean and final",
        lambda: _sintel(SINTEL_FRAMES),
    ),
    SplitRule(
        "sintel_train",
        "sintel_all without the scenes of sintel_val",
        lambda: _sintel(scene for scene in SINTEL_FRAMES if scene not in SINTEL_VALIDATION),
    ),
    SplitRule(
        "sintel_val",
        f"every pair of the scenes {', '.join(SINTEL_VALIDATION)} of MPI-Sintel, clean and final",
        lambda: _sintel(SINTEL_VALIDATION),
    ),
    SplitRule(
        "chairs_train",
        "the training pairs of FlyingChairs' official split (FlyingChairs_train_val.txt: 1)",
        lambda: _chairs("train"),
    ),
    SplitRule(
        "chairs_val",
        "the validation pairs of FlyingChairs' official split (FlyingChairs_train_val.txt: 2)",
        lambda: _chairs("val"),
    ),
    SplitRule(
        "rendered_train",
        "frames 0 and 1 of the rendered scenes 0-239 (flowdistill data render --scenes 256 --frames 3)",
        lambda: _frames(range(240), [0, 1]),
    ),
    SplitRule(
        "rendered_val",
        "frames 0 and 1 of the rendered scenes 240-255, none of which is trained on",
        lambda: _frames(range(240, 256), [0, 1]),
    ),
    SplitRule(
        "rendered_long_train",
        "frames 0 and 1 of the rendered scenes 0-991 (flowdistill data render --scenes 1024 --frames 3)",
        lambda: _frames(range(992), [0, 1]),
    ),
    SplitRule(
        "rendered_long_val",
        "frames 0 and 1 of the rendered scenes 992-1023, none of which is trained on",
        lambda: _frames(range(992, 1024), [0, 1]),
    ),
    SplitRule(
        "rendered_gt",
        "frame 0 of every tenth of the rendered scenes 0-239: 5 % of rendered_train, with ground truth",
        _rendered_gt,
    ),
    SplitRule(
        "rendered_px",
        "frames 0 and 1 of the rendered scenes 0-239, all with proxy labels",
        _rendered_px,
    ),
    SplitRule(
        "rendered_gt_px",
        "as rendered_px, but what rendered_gt names has its ground truth instead of proxy labels",
        _rendered_gt_px,
    ),
)
