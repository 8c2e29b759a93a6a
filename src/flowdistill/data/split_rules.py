"""The rules that generate `data_splits/`: one rule per file, stated in the file's first line."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from flowdistill.data.chairs_split import split_ids
from flowdistill.data.splits import CAMERAS, SplitEntry
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically


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
        for name, (rule, entries) in RULES.items():
            path = folder / f"{name}.txt"
            head = f"# {name}: {rule}\n# Written by `flowdistill data splits`; do not edit.\n"
            write_atomically(path, (head + "".join(f"{entry.line}\n" for entry in entries())).encode())
            written.append(path)
    except OSError as error:
        raise UserError(
            f"The splits cannot be written to {folder}: {error}. Choose another --output."
        ) from error
    return written


def _frames(sequences: range, frames: Sequence[int], labels: str | None = None) -> list[SplitEntry]:
    return [
        SplitEntry(f"{sequence:06d}_{frame:02d}", labels=labels) for sequence in sequences for frame in frames
    ]


def _ddflow_pairs(sequences: int) -> list[SplitEntry]:
    return [
        SplitEntry(f"{sequence:06d}_{frame:02d}", camera)
        for sequence in range(sequences)
        for camera in CAMERAS
        for frame in (*range(8), *range(13, 20))
    ]


def _replaced(entries: list[SplitEntry], others: list[SplitEntry]) -> list[SplitEntry]:
    """Return the entries, replaced by one of the others where it has the same id."""
    by_id = {entry.id: entry for entry in others}
    return [by_id.get(entry.id, entry) for entry in entries]


def _sintel(scenes: Collection[str]) -> list[SplitEntry]:
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

# Name -> the rule in words, and the function that implements it.
RULES: dict[str, tuple[str, Callable[[], list[SplitEntry]]]] = {
    "kitti_200": (
        "frame 10 of the sequences 0-199 of KITTI 2015, i.e. every frame with ground truth",
        lambda: _frames(range(200), [10]),
    ),
    "kitti_160": (
        "frame 10 of the sequences 0-159 of KITTI 2015; its rest is kitti_40",
        lambda: _frames(range(160), [10]),
    ),
    "kitti_40": (
        "frame 10 of the sequences 160-199 of KITTI 2015, the rest of kitti_160",
        lambda: _frames(range(160, 200), [10]),
    ),
    "kitti_multiview": (
        "frames 0-19 of the sequences 0-199 of KITTI 2015's multi-view extension, all with proxy labels",
        lambda: _frames(range(200), range(20), PROXY),
    ),
    "kitti_multiview_partial": (
        "frames 0-19 of the sequences 0-159 of KITTI 2015's multi-view extension, all with proxy labels; it shares no "
        "sequence with kitti_40",
        lambda: _frames(range(160), range(20), PROXY),
    ),
    "kitti_mixed": (
        "as kitti_multiview_partial, but frame 10 has its ground truth instead of proxy labels",
        lambda: _replaced(_frames(range(160), range(20), PROXY), _frames(range(160), [10])),
    ),
    "kitti_multiview_ddflow": (
        "pairs (0,1)...(7,8) and (13,14)...(19,20) of the 200 sequences and both cameras of KITTI 2015's "
        "multi-view extension; nothing touches frames 09-12, which have or neighbour ground truth",
        lambda: _ddflow_pairs(200),
    ),
    "kitti2012_194": (
        "frame 10 of the sequences 0-193 of KITTI 2012, i.e. every frame with ground truth",
        lambda: _frames(range(194), [10]),
    ),
    "kitti2012_195": (
        "frame 10 of the sequences 0-194 of KITTI 2012's testing part, for a submission",
        lambda: _frames(range(195), [10]),
    ),
    "kitti2012_multiview_ddflow": (
        "pairs (0,1)...(7,8) and (13,14)...(19,20) of the 194 training sequences and both cameras of KITTI 2012's "
        "multi-view extension; nothing touches frames 09-12, which have or neighbour ground truth",
        lambda: _ddflow_pairs(194),
    ),
    "sintel_all": (
        "every pair of MPI-Sintel's 23 training scenes, clean and final",
        lambda: _sintel(SINTEL_FRAMES),
    ),
    "sintel_train": (
        "sintel_all without the scenes of sintel_val",
        lambda: _sintel([scene for scene in SINTEL_FRAMES if scene not in SINTEL_VALIDATION]),
    ),
    "sintel_val": (
        f"every pair of the scenes {', '.join(SINTEL_VALIDATION)} of MPI-Sintel, clean and final",
        lambda: _sintel(SINTEL_VALIDATION),
    ),
    "chairs_train": (
        "the training pairs of FlyingChairs' official split (FlyingChairs_train_val.txt: 1)",
        lambda: _chairs("train"),
    ),
    "chairs_val": (
        "the validation pairs of FlyingChairs' official split (FlyingChairs_train_val.txt: 2)",
        lambda: _chairs("val"),
    ),
    "rendered_train": (
        "frames 0 and 1 of the rendered scenes 0-239 (flowdistill data render --scenes 256 --frames 3)",
        lambda: _frames(range(240), [0, 1]),
    ),
    "rendered_val": (
        "frames 0 and 1 of the rendered scenes 240-255, none of which is trained on",
        lambda: _frames(range(240, 256), [0, 1]),
    ),
    "rendered_long_train": (
        "frames 0 and 1 of the rendered scenes 0-991 (flowdistill data render --scenes 1024 --frames 3)",
        lambda: _frames(range(992), [0, 1]),
    ),
    "rendered_long_val": (
        "frames 0 and 1 of the rendered scenes 992-1023, none of which is trained on",
        lambda: _frames(range(992, 1024), [0, 1]),
    ),
    "rendered_gt": (
        "frame 0 of every tenth of the rendered scenes 0-239: 5 % of rendered_train, with ground truth",
        lambda: _frames(range(0, 240, 10), [0]),
    ),
    "rendered_px": (
        "frames 0 and 1 of the rendered scenes 0-239, all with proxy labels",
        lambda: _frames(range(240), [0, 1], PROXY),
    ),
    "rendered_gt_px": (
        "as rendered_px, but what rendered_gt names has its ground truth instead of proxy labels",
        lambda: _replaced(_frames(range(240), [0, 1], PROXY), _frames(range(0, 240, 10), [0])),
    ),
}
