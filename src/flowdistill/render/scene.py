"""A sampled world.

World axes are those of the left camera at time 0 before its pitch, roll and yaw: x right, y down, z forward; metres,
origin in that camera. Sizes and speeds are defined as shares of the image width, so that the same scene at another
resolution gives the same image, with flow and disparity scaled with the width.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowdistill.render.bodies import Body, Room
from flowdistill.render.camera import Camera, Path
from flowdistill.render.textures import Kind

# Upper limit of the disparity as a share of the image width; the slack up to 0.2 covers ground points that leave the
# frame towards the camera.
LARGEST_DISPARITY = 0.155


@dataclass(frozen=True)
class Scene:
    """A sampled world. Focal length and principal point are shares of the image width and height."""

    focal: float
    centre: tuple[float, float]
    baseline: float
    camera_path: Path
    room: Room
    bodies: tuple[Body, ...]  # body i has object id i + 1
    textures: tuple[tuple[Kind, int], ...]  # kind and texels per side of each texture
    texture_seed: tuple[int, ...]

    def camera(self, size: tuple[int, int]) -> Camera:
        """Return the camera for images of `size` (height, width)."""
        height, width = size
        centre_x, centre_y = self.centre[0] * width - 0.5, self.centre[1] * height - 0.5
        return Camera(self.focal * width, centre_x, centre_y, self.baseline, height, width)
