"""FlyingChairs: single pairs with flow.

Source: Dosovitskiy et al., FlowNet: Learning Optical Flow with Convolutional Networks, ICCV 2015, and the data set's
page, which provides the list of training and validation pairs beside the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flowdistill.formats import write_flo, write_image
from flowdistill.render.layouts.layout import Layout, Limit, place
from flowdistill.render.request import Request
from flowdistill.render.sequence import RenderedFrame

SPLIT_FILE = "FlyingChairs_train_val.txt"
TRAIN, VALIDATION = 1, 2


class Chairs(Layout):
    """Pairs of the left camera, numbered across all scenes from 00001; the split file has one number per pair.

    Pairs of held-out scenes are for validation, so that no scene is in both. Frames shared by two pairs are written
    twice, since every pair has its own files.
    """

    name = "chairs"

    def limits(self, request: Request) -> Iterator[Limit]:
        pairs = request.scenes * request.pairs
        yield Limit("the number of pairs", pairs, "FlyingChairs' file names hold at most", 99_999)

    def write_pair(self, root: Path, request: Request, scene: int, number: int, frame: RenderedFrame) -> None:
        folder = root / "FlyingChairs_release" / "data"
        pair = f"{scene * request.pairs + number + 1:05d}"
        write_image(place(folder / f"{pair}_img1.ppm"), frame.left_t0)
        write_image(folder / f"{pair}_img2.ppm", frame.left_t1)
        write_flo(folder / f"{pair}_flow.flo", frame.flow)

    def files_of_the_whole(self, request: Request) -> dict[str, str]:
        held_out = request.scenes - request.first_held_out
        parts = [TRAIN] * (request.first_held_out * request.pairs) + [VALIDATION] * (held_out * request.pairs)
        return {SPLIT_FILE: "".join(f"{part}\n" for part in parts)}
