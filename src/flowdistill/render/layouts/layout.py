"""What every layout has in common: its name, its limits and how it writes one pair of frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from flowdistill.errors import UserError
from flowdistill.render.request import Request
from flowdistill.render.sequence import Picture, RenderedFrame


class Limit(NamedTuple):
    """`what` is `value`, and because of `reason`, whose last words are 'at most', it may be `most`."""

    what: str
    value: int
    reason: str
    most: int


class Layout(ABC):
    """Where a data set keeps pictures and truth, in which format, unit and sign.

    One instance serves all scenes; scenes are written by several processes at once, each pair exactly once.
    """

    name: ClassVar[str]
    #: Whether the benchmark has scenes without labels (`Request.test_scenes`).
    has_test_scenes: ClassVar[bool] = False

    @abstractmethod
    def limits(self, request: Request) -> Iterable[Limit]:
        """What the layout's file names and formats can hold."""

    @abstractmethod
    def write_pair(self, root: Path, request: Request, scene: int, number: int, frame: RenderedFrame) -> None:
        """Write pair `number` (frames number and number + 1) of a scene below `root`.

        A picture or label that two pairs share is written with the first of them.
        """

    def files_of_the_whole(self, request: Request) -> dict[str, str]:
        """Names below the root and texts of files that belong to no single scene."""
        return {}

    def check(self, request: Request) -> None:
        """Raise a UserError for a request that the layout cannot hold."""
        if request.test_scenes and not self.has_test_scenes:
            raise UserError(
                f"test scenes is {request.test_scenes}; the layout {self.name} has no part without labels"
            )
        for limit in self.limits(request):
            if limit.value > limit.most:
                raise UserError(f"{limit.what} is {limit.value}; {limit.reason} {limit.most}")


def place(path: Path) -> Path:
    """The same path, after its folder was made.

    Raises:
        UserError: if that cannot be done.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent}: cannot make the folder ({error.strerror or error})") from error
    return path


def new_pictures(number: int, frame: RenderedFrame) -> Iterator[tuple[int, Picture, Picture]]:
    """(frame number, left, right) of the pictures that pair `number` brings: t0 only with a scene's first pair."""
    if number == 0:
        yield 0, frame.left_t0, frame.right_t0
    yield number + 1, frame.left_t1, frame.right_t1
