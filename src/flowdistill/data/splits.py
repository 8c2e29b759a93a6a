"""Split files: which samples a run uses, one a line.

    # a comment
    000000_10
    000000_10 camera=right

The reader takes any id without white space; what an id means is the dataset's business.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flowdistill.errors import UserError

Camera = Literal["left", "right"]
CAMERAS: tuple[Camera, ...] = ("left", "right")


@dataclass(frozen=True)
class SplitEntry:
    """One sample: its id in the dataset and the camera that saw it."""

    id: str
    camera: Camera = "left"

    @property
    def name(self) -> str:
        """The sample's name in batches and output files: the id, `_right` appended for the right camera."""
        return self.id if self.camera == "left" else f"{self.id}_right"


def read_split(path: str | Path) -> list[SplitEntry]:
    """Read a split file, in its order.

    Raises:
        UserError: if the file is missing, holds no sample, or has a wrong or repeated line (file and line are
            named).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(_missing(path))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The split file {path} cannot be read as text: {error}") from error

    line_of: dict[SplitEntry, int] = {}
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        entry = _parse(words, f"{path}, line {number}")
        if entry in line_of:
            raise UserError(
                f"{path}, line {number}: {line.strip()!r} repeats line {line_of[entry]}. Remove one of them."
            )
        line_of[entry] = number
    if not line_of:
        raise UserError(
            f"The split {path} is empty: it names no sample. Put one id a line in it (for KITTI: 000000_10), "
            "or write the standard splits with `flowdistill data splits --output data_splits`."
        )
    return list(line_of)


def _parse(words: list[str], place: str) -> SplitEntry:
    id_, *options = words
    if "=" in id_:
        raise UserError(f"{place}: a line starts with the sample's id, not with {id_!r}.")
    camera: Camera = "left"
    seen: set[str] = set()
    for option in options:
        key, equals, value = option.partition("=")
        if key in seen:
            raise UserError(f"{place}: {key}= is given twice.")
        seen.add(key)
        if key == "labels" and equals:
            raise UserError(
                f"{place}: {option!r} asks for proxy labels, which this version does not read yet. "
                "Remove the option to use the dataset's own labels."
            )
        if key != "camera" or not equals:
            raise UserError(f"{place}: {option!r} is not understood. A line is `<id> [camera=left|right]`.")
        if value not in CAMERAS:
            raise UserError(f"{place}: the camera is left or right, not {value!r}.")
        camera = value
    return SplitEntry(id_, camera)


def _missing(path: Path) -> str:
    if path.is_dir():
        return f"The split {path} is a folder; a split is a text file. {_files_in(path)}"
    return f"The split file {path} does not exist (looked from {Path.cwd()}). {_files_in(path.parent)}"


def _files_in(folder: Path) -> str:
    if not folder.is_dir():
        return (
            f"Its folder {folder} does not exist either: run from the repository's root, give a full path, "
            f"or write the standard splits with `flowdistill data splits --output {folder}`."
        )
    names = sorted(file.name for file in folder.glob("*.txt"))
    if not names:
        return f"{folder} holds no split files: `flowdistill data splits --output {folder}` writes them."
    return f"{folder} holds: {', '.join(names)}."
