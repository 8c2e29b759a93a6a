"""MPI-Sintel.

Source: Butler et al., A Naturalistic Open Source Movie for Optical Flow Evaluation, ECCV 2012, and the README of its
archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flowdistill.formats import write_flo, write_image, write_mask
from flowdistill.render.final_pass import final_pass
from flowdistill.render.layouts.layout import Layout, Limit, new_pictures, place
from flowdistill.render.request import Request
from flowdistill.render.sequence import RenderedFrame


class Sintel(Layout):
    """`training` with labels, `test` without; scenes are named scene_0000, ... across both, frames from 0001.

    Left camera only. `occlusions` is 255 where occluded; `invalid` is 0 everywhere, since all ground truth is valid.
    """

    name = "sintel"
    has_test_scenes = True

    def limits(self, request: Request) -> Iterator[Limit]:
        yield Limit("frames", request.frames, "Sintel's file names hold at most", 9999)
        yield Limit("the number of scenes", request.all_scenes, "the folders' names hold at most", 10_000)

    def write_pair(self, root: Path, request: Request, scene: int, number: int, frame: RenderedFrame) -> None:
        labelled = scene < request.scenes
        folder, name = root / ("training" if labelled else "test"), f"scene_{scene:04d}"
        for time, picture, _ in new_pictures(number, frame):
            file = f"frame_{time + 1:04d}.png"
            write_image(place(folder / "clean" / name / file), picture)
            worse = final_pass(picture, (request.seed, scene, time, 0))
            write_image(place(folder / "final" / name / file), worse)
        if labelled:
            now = f"frame_{number + 1:04d}"
            write_flo(place(folder / "flow" / name / f"{now}.flo"), frame.flow)
            write_mask(place(folder / "occlusions" / name / f"{now}.png"), frame.occluded)
            write_mask(place(folder / "invalid" / name / f"{now}.png"), np.zeros_like(frame.occluded))
