"""The rules that write `data_splits/`: each file is made by one, which its first line states."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically


@dataclass(frozen=True)
class SplitRule:
    """A named split: the sentence that states its rule and the function that carries it out."""

    name: str
    sentence: str
    entries: Callable[[], Iterable[SplitEntry]]

    def text(self) -> str:
        """The whole file."""
        lines = [f"# {self.name}: {self.sentence}", "# Written by `flowdistill data splits`; do not edit."]
        for entry in self.entries():
            lines.append(entry.id if entry.camera == "left" else f"{entry.id} camera={entry.camera}")
        return "\n".join(lines) + "\n"


def write_splits(folder: str | Path) -> list[Path]:
    """Write every split file into `folder`, which is made if needed; returns their paths.

    Raises:
        UserError: if the folder cannot be written.
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


def _ddflow_pairs() -> list[SplitEntry]:
    first_frames = [*range(8), *range(13, 20)]
    return [
        SplitEntry(f"{sequence:06d}_{frame:02d}", camera)
        for sequence in range(200)
        for camera in ("left", "right")
        for frame in first_frames
    ]


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
        "kitti_multiview_ddflow",
        "pairs (0,1)...(7,8) and (13,14)...(19,20) of the 200 sequences and both cameras of KITTI 2015's "
        "multi-view extension; nothing touches frames 09-12, which have or neighbour ground truth",
        _ddflow_pairs,
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
)
