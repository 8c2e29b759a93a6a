"""Base class of all layouts: name, limits, and writing of one pair of frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from flowdistill.errors import UserError
from flowdistill.render.request import Request
from flowdistill.render.sequence import Picture, RenderedFrame


class Limit(NamedTuple):
    """The quantity `what` is `value` and can be at most `most`, for `reason` (which ends with 'at most')."""

    what: str
    value: int
    reason: str
    most: int


class Layout(ABC):
    """The location, format, unit and sign of a data set's images and ground truth.

    One instance is used for all scenes; several processes write scenes concurrently, each pair exactly once.
    """

    name: ClassVar[str]
    #: Whether the benchmark has scenes without labels (`Request.test_scenes`).
    has_test_scenes: ClassVar[bool] = False

    @abstractmethod
    def limits(self, request: Request) -> Iterable[Limit]:
        """Return the limits of the layout's file names and formats."""

    @abstractmethod
    def write_pair(self, root: Path, request: Request, scene: int, number: int, frame: RenderedFrame) -> None:
        """Write pair `number` (frames number and number + 1) of a scene below `root`.

        An image or label shared by two pairs is written with the first of them.
        """

    def files_of_the_whole(self, request: Request) -> dict[str, str]:
        """Return name below the root -> text of files that do not belong to a single scene."""
        return {}

    def check(self, request: Request) -> None:
        """Raise UserError for a request that the layout does not support."""
        if request.test_scenes and not self.has_test_scenes:
            raise UserError(
                f"test scenes is {request.test_scenes}; the layout {self.name} has no part without labels"
            )
        for limit in self.limits(request):
            if limit.value > limit.most:
                raise UserError(f"{limit.what} is {limit.value}; {limit.reason} {limit.most}")


def place(path: Path) -> Path:
    """Create the folder of a path and return the path.

    Raises:
        UserError: if the folder cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent}: cannot make the folder ({error.strerror or error})") from error
    return path


def new_pictures(number: int, frame: RenderedFrame) -> Iterator[tuple[int, Picture, Picture]]:
    """Yield (frame number, left, right) of the new images of pair `number`: t0 only for a scene's first pair."""
    if number == 0:
        yield 0, frame.left_t0, frame.right_t0
    yield number + 1, frame.left_t1, frame.right_t1
