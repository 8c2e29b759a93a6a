"""KITTI 2012, the benchmarks of stereo and flow.

Source: Geiger, Lenz and Urtasun, Are we ready for Autonomous Driving?, CVPR 2012, and its development kit.
"""

from __future__ import annotations

from pathlib import Path

from flowdistill.formats import write_kitti_disparity, write_kitti_flow
from flowdistill.render.layouts.kitti import KittiLayout, numbers, projection
from flowdistill.render.layouts.layout import place
from flowdistill.render.sequence import RenderedFrame


class Kitti2012(KittiLayout):
    """Grey and colour images; flow and the disparity at t0, positive. No object map, no disparity at t1."""

    name = "kitti2012"
    colour = ("colored_0", "colored_1")
    grey = ("image_0", "image_1")
    calibration = "calib"

    def write_labels(self, training: Path, name: str, frame: RenderedFrame) -> None:
        seen_t1, seen_right = ~frame.occluded[..., 0], ~frame.occluded_right_t0[..., 0]
        write_kitti_disparity(place(training / "disp_occ" / name), frame.disparity_t0)
        write_kitti_disparity(place(training / "disp_noc" / name), frame.disparity_t0, seen_right)
        write_kitti_flow(place(training / "flow_occ" / name), frame.flow)
        write_kitti_flow(place(training / "flow_noc" / name), frame.flow, seen_t1)

    def calibration_text(self, frame: RenderedFrame) -> str:
        """P0 and P1 are the grey cameras, left and right, P2 and P3 the colour cameras at the same positions."""
        offsets = (0.0, -frame.baseline, 0.0, -frame.baseline)
        lines = [f"P{camera}: {numbers(projection(frame, offset))}" for camera, offset in enumerate(offsets)]
        return "\n".join(lines) + "\n"
