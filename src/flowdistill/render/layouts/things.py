"""FlyingThings3D as first published.

Source: Mayer et al., A Large Dataset to Train Convolutional Networks for Disparity, Optical Flow, and Scene Flow
Estimation, CVPR 2016, and the data set's page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flowdistill.formats import write_image, write_pfm
from flowdistill.render.final_pass import final_pass
from flowdistill.render.layouts.layout import Layout, Limit, new_pictures, place
from flowdistill.render.request import Request
from flowdistill.render.sequence import Field, RenderedFrame

FIRST_FRAME = 6
LETTERS = "ABC"


class Things(Layout):
    """TRAIN and, for held-out scenes, TEST; scenes are assigned to A, B and C in turn; frames are numbered from 0006.

    Disparities are positive; the change is that of the point seen in this frame: disparity at t1 minus that at t0.
    The original also has labels of the right camera, change into the past and a scene's last frame: not rendered.
    """

    name = "things"

    def limits(self, request: Request) -> Iterator[Limit]:
        yield Limit(
            "frames", request.frames, "FlyingThings3D's file names hold at most", 10_000 - FIRST_FRAME
        )
        yield Limit("scenes", request.scenes, "FlyingThings3D's folders hold at most", 10_000 * len(LETTERS))

    def write_pair(self, root: Path, request: Request, scene: int, number: int, frame: RenderedFrame) -> None:
        folder = scene_folder(request, scene)
        for time, *pictures in new_pictures(number, frame):
            for camera, picture in enumerate(pictures):
                name = Path(("left", "right")[camera], f"{FIRST_FRAME + time:04d}.png")
                write_image(place(root / "frames_cleanpass" / folder / name), picture)
                worse = final_pass(picture, (request.seed, scene, time, camera))
                write_image(place(root / "frames_finalpass" / folder / name), worse)
        now, following = FIRST_FRAME + number, FIRST_FRAME + number + 1
        flow, change = root / "optical_flow" / folder, root / "disparity_change" / folder
        future = f"into_future/left/OpticalFlowIntoFuture_{now:04d}_L.pfm"
        past = f"into_past/left/OpticalFlowIntoPast_{following:04d}_L.pfm"
        write_pfm(place(flow / future), with_zeros(frame.flow))
        write_pfm(place(flow / past), with_zeros(frame.flow_backward))
        write_pfm(place(root / "disparity" / folder / f"left/{now:04d}.pfm"), frame.disparity_t0)
        write_pfm(place(change / f"into_future/left/{now:04d}.pfm"), frame.disparity_t1 - frame.disparity_t0)


def scene_folder(request: Request, scene: int) -> Path:
    """Return TRAIN/A/0000 for scene 0, TRAIN/B/0000 for scene 1 and so on; both parts are numbered from 0."""
    part, index = "TRAIN", scene
    if scene >= request.first_held_out:
        part, index = "TEST", scene - request.first_held_out
    return Path(part, LETTERS[index % len(LETTERS)], f"{index // len(LETTERS):04d}")


def with_zeros(flow: Field) -> Field:
    """Convert flow (H, W, 2) to the three channels (H, W, 3) of a colour PFM; the third is unused."""
    return np.concatenate([flow, np.zeros_like(flow[..., :1])], axis=2)
