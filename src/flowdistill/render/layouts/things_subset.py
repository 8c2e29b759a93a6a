"""The subset of FlyingThings3D used to train DispNet and FlowNet 2.0, which has a different layout.

Source: the data set's page, "DispNet/FlowNet2.0 dataset subsets".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flowdistill.formats import write_flo, write_image, write_mask, write_pfm
from flowdistill.render.final_pass import final_pass
from flowdistill.render.layouts.layout import Layout, Limit, new_pictures, place
from flowdistill.render.request import Request
from flowdistill.render.sequence import RenderedFrame


class ThingsSubset(Layout):
    """`train` and, for held-out scenes, `val`; in each, frames are numbered across all scenes from 0000000.

    Disparities of the left camera are negative, so the change is between negative numbers. Occlusion masks are
    255 where occluded. Two frames are a pair if the first has flow into the future: a scene's last frame has none.
    The original also has labels of the right camera and change into the past: not rendered.
    """

    name = "things_subset"

    def limits(self, request: Request) -> Iterator[Limit]:
        frames = request.scenes * request.frames
        yield Limit("scenes times frames", frames, "the file names of things_subset hold at most", 10**7)

    def write_pair(self, root: Path, request: Request, scene: int, number: int, frame: RenderedFrame) -> None:
        part, first = "train", scene * request.frames
        if scene >= request.first_held_out:
            part, first = "val", (scene - request.first_held_out) * request.frames
        folder = root / part
        for time, *pictures in new_pictures(number, frame):
            for camera, picture in enumerate(pictures):
                name = Path(("left", "right")[camera], f"{first + time:07d}.png")
                write_image(place(folder / "image_clean" / name), picture)
                worse = final_pass(picture, (request.seed, scene, time, camera))
                write_image(place(folder / "image_final" / name), worse)
        now, following = f"{first + number:07d}", f"{first + number + 1:07d}"
        write_flo(place(folder / f"flow/left/into_future/{now}.flo"), frame.flow)
        write_flo(place(folder / f"flow/left/into_past/{following}.flo"), frame.flow_backward)
        write_mask(place(folder / f"flow_occlusions/left/into_future/{now}.png"), frame.occluded)
        write_mask(place(folder / f"flow_occlusions/left/into_past/{following}.png"), frame.occluded_backward)
        disparity_t0, disparity_t1 = -frame.disparity_t0, -frame.disparity_t1
        write_pfm(place(folder / f"disparity/left/{now}.pfm"), disparity_t0)
        change = place(folder / f"disparity_change/left/into_future/{now}.pfm")
        write_pfm(change, disparity_t1 - disparity_t0)
        write_mask(place(folder / f"disparity_occlusions/left/{now}.png"), frame.occluded_right_t0)
