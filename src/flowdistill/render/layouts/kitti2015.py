"""KITTI 2015, the scene flow benchmark.

Source: Menze and Geiger, Object Scene Flow, CVPR 2015, and the benchmark's development kit.
"""

from __future__ import annotations

from pathlib import Path

from flowdistill.formats import write_image, write_kitti_disparity, write_kitti_flow
from flowdistill.render.layouts.kitti import KittiLayout, numbers, projection
from flowdistill.render.layouts.layout import place
from flowdistill.render.sequence import RenderedFrame


class Kitti2015(KittiLayout):
    """Both disparities are absolute, positive, on the grid of t0; `noc` of t1 is visible in left_t1 and right_t1."""

    name = "kitti2015"
    colour = ("image_2", "image_3")
    calibration = "calib_cam_to_cam"

    def write_labels(self, training: Path, name: str, frame: RenderedFrame) -> None:
        seen_t1 = ~frame.occluded[..., 0]
        seen_right_t0, seen_right_t1 = ~frame.occluded_right_t0[..., 0], ~frame.occluded_right_t1[..., 0]
        write_kitti_disparity(place(training / "disp_occ_0" / name), frame.disparity_t0)
        write_kitti_disparity(place(training / "disp_noc_0" / name), frame.disparity_t0, seen_right_t0)
        write_kitti_disparity(place(training / "disp_occ_1" / name), frame.disparity_t1)
        write_kitti_disparity(
            place(training / "disp_noc_1" / name), frame.disparity_t1, seen_t1 & seen_right_t1
        )
        write_kitti_flow(place(training / "flow_occ" / name), frame.flow)
        write_kitti_flow(place(training / "flow_noc" / name), frame.flow, seen_t1)
        write_image(place(training / "obj_map" / name), frame.foreground)

    def calibration_text(self, frame: RenderedFrame) -> str:
        """Cameras 00 and 02 are the left one, 01 and 03 the right one."""
        height, width = frame.foreground.shape[:2]
        identity = numbers([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
        lines = ["calib_time: 01-Jan-2000 00:00:00", f"corner_dist: {numbers([1.0])}"]
        for number in range(4):
            offset = -frame.baseline if number % 2 else 0.0
            lines += [
                f"S_{number:02d}: {numbers([width, height])}",
                f"K_{number:02d}: {numbers(frame.intrinsics.ravel())}",
                f"D_{number:02d}: {numbers([0.0] * 5)}",
                f"R_{number:02d}: {identity}",
                f"T_{number:02d}: {numbers([offset, 0.0, 0.0])}",
                f"S_rect_{number:02d}: {numbers([width, height])}",
                f"R_rect_{number:02d}: {identity}",
                f"P_rect_{number:02d}: {numbers(projection(frame, offset))}",
            ]
        return "\n".join(lines) + "\n"
