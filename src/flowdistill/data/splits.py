"""Split files: the samples of a run, one per line.

    # a comment
    000000_10
    000000_10 camera=right
    000000_09 labels=proxy

The reader accepts any id without white space; each dataset defines the meaning of its ids and the location of its
proxy labels (`proxies.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from flowdistill.data.access import is_file
from flowdistill.data.shipped import find
from flowdistill.errors import UserError

Camera = Literal["left", "right"]
CAMERAS: tuple[Camera, ...] = ("left", "right")


@dataclass(frozen=True)
class SplitEntry:
    """One sample: its id in the dataset, its camera, and the folder of its proxy labels, if it has any.

    `frames` are the paths of its images if these do not follow from the id (`folder.py`). They are found by a scan, not
    written into split files, and are ignored when entries are compared.

    Examples:
        >>> from flowdistill.data import SplitEntry
        >>> entry = SplitEntry("000000_10", camera="right", labels="proxy")
        >>> entry.name, entry.line
        ('000000_10_right', '000000_10 camera=right labels=proxy')
    """

    id: str
    camera: Camera = "left"
    labels: str | None = None
    frames: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """The sample's name in batches and output files: the id, with `_right` appended for the right camera."""
        return self.id if self.camera == "left" else f"{self.id}_right"

    @property
    def line(self) -> str:
        """The entry as a line of a split file."""
        camera = "" if self.camera == "left" else f" camera={self.camera}"
        return f"{self.id}{camera}" + ("" if self.labels is None else f" labels={self.labels}")


@dataclass(frozen=True)
class BadLine:
    """An invalid line of a split file, and the error message, which includes file and line."""

    number: int
    text: str
    message: str


def read_split(path: str | Path, check: Callable[[SplitEntry], object] | None = None) -> list[SplitEntry]:
    """Read a split file, in order.

    Args:
        path: of the file.
        check: raises UserError for an entry that is invalid for the dataset; file and line are added to its message.

    Raises:
        UserError: if the file is missing, has no sample, or has an invalid or repeated line (with file and line).

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from flowdistill.data import read_split
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "mine.txt")
        ...     written = path.write_text("000000_10 camera=right labels=proxy  # a comment")
        ...     read_split(path)
        [SplitEntry(id='000000_10', camera='right', labels='proxy', frames=())]
        >>> len(read_split("data_splits/kitti_200.txt"))  # the files of data_splits come with the package
        200
    """
    return without_bad_lines(*examine_split(path, check))


def without_bad_lines(entries: list[SplitEntry], bad: list[BadLine]) -> list[SplitEntry]:
    """Return the entries. Raises UserError for the first invalid line, if there are any."""
    if bad:
        raise UserError(bad[0].message)
    return entries


def examine_split(
    path: str | Path,
    check: Callable[[SplitEntry], object] | None = None,
    may_be_empty: bool = False,
    parse: Callable[[list[str]], SplitEntry] | None = None,
) -> tuple[list[SplitEntry], list[BadLine]]:
    """Read a split file as `read_split` does, but continue after invalid lines and return these, too.

    Args:
        path, check: as for `read_split`.
        may_be_empty: whether a file without samples is allowed.
        parse: words of a line -> entry, by default `parse_line`; raises UserError as `check` does.

    Raises:
        UserError: if the file is missing, or has no sample and `may_be_empty` is not set.
    """
    line_of: dict[SplitEntry, int] = {}
    bad: list[BadLine] = []
    for number, line, words in _lines(Path(path)):
        try:
            entry = (parse or parse_line)(words)
            if check is not None:
                check(entry)
            if entry in line_of:
                raise UserError(f"{line.strip()!r} repeats line {line_of[entry]}. Remove one of them.")
        except UserError as error:
            bad.append(BadLine(number, line.strip(), f"{path}, line {number}: {error}"))
        else:
            line_of[entry] = number
    if not line_of and not bad and not may_be_empty:
        raise UserError(
            f"The split {path} is empty: it lists no sample. Write one id per line (for KITTI: 000000_10), "
            "or write the standard splits with `flowdistill data splits --output data_splits`."
        )
    return list(line_of), bad


def line_numbers(path: str | Path) -> dict[SplitEntry, int]:
    """Return entry -> its first line in a readable split file; invalid lines are skipped."""
    numbers: dict[SplitEntry, int] = {}
    for number, _, words in _lines(Path(path)):
        try:
            numbers.setdefault(parse_line(words), number)
        except UserError:
            continue  # reported by `examine_split`
    return numbers


def _lines(path: Path) -> list[tuple[int, str, list[str]]]:
    """Return number, text and words of the lines that are neither empty nor comments."""
    path = find(path)
    if not is_file(path):
        raise UserError(_missing(path))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The split file {path} cannot be read as text: {error}") from error
    numbered = [(number, line, line.partition("#")[0].split()) for number, line in enumerate(lines, start=1)]
    return [each for each in numbered if each[2]]


def parse_line(words: list[str]) -> SplitEntry:
    """Parse the words of a line: `<id> [camera=left|right] [labels=<folder>]`. Raises UserError for other words.

    Examples:
        >>> from flowdistill.data.splits import parse_line
        >>> parse_line("000000_10 camera=right".split()).name
        '000000_10_right'
    """
    id_, *options = words
    if "=" in id_:
        raise UserError(f"a line must start with the sample's id, not with {id_!r}.")
    check_inside(id_)
    camera: Camera = "left"
    labels: str | None = None
    seen: set[str] = set()
    for option in options:
        key, equals, value = option.partition("=")
        if key in seen:
            raise UserError(f"{key}= is given twice.")
        seen.add(key)
        if key == "camera" and equals:
            if value not in CAMERAS:
                raise UserError(f"the camera must be left or right, not {value!r}.")
            camera = value
        elif key == "labels" and equals:
            if not value:
                raise UserError("labels= has no folder. Write labels=FOLDER, or leave it out.")
            check_inside(value)
            labels = value
        else:
            raise UserError(
                f"{option!r} is not a valid option. A line is `<id> [camera=left|right] [labels=<folder>]`."
            )
    return SplitEntry(id_, camera, labels)


def check_inside(name: str) -> None:
    """Raise UserError for a name that points outside the data folder. Links inside it may point anywhere."""
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()
    if absolute or ".." in name.replace("\\", "/").split("/"):
        raise UserError(
            f"{name!r} points outside the data folder: names in a split are relative to its root."
        )


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
        return f"{folder} contains no split files: `flowdistill data splits --output {folder}` writes them."
    return f"{folder} contains: {', '.join(names)}."
