"""A teacher without learned weights: OpenCV's semi-global matching for stereo, DIS for flow.

Sources: H. Hirschmueller, "Stereo processing by semiglobal matching and mutual information", PAMI 2008 (OpenCV matches
blocks by the Birchfield-Tomasi measure instead); T. Kroeger et al., "Fast optical flow using dense inverse search",
ECCV 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.data.sample import Sample
from flowdistill.errors import UserError
from flowdistill.labels.config import OpenCVPart
from flowdistill.labels.estimate import Estimate, estimate, image_array

Scalar = TypeVar("Scalar", bound=np.generic)
Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB

_MODES = {
    "sgbm": cv2.StereoSGBM_MODE_SGBM,
    "hh": cv2.StereoSGBM_MODE_HH,
    "3way": cv2.StereoSGBM_MODE_SGBM_3WAY,
}
_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
_SMALLEST = 32  # px per side; DIS works at an eighth of it
_STEPS = 16  # steps per pixel in StereoSGBM's integer disparities


class OpenCVTeacher:
    """Flow in both directions, and the disparity of every image of a stereo pair.

    `flow` and `disparity` select what to compute.
    Disparity is computed for both sides (`disparity_right_*` by mirroring the pair), so that it can be checked.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.config import OpenCVPart
        >>> from flowdistill.labels.opencv_teacher import OpenCVTeacher
        >>> left = np.random.default_rng(0).integers(0, 256, (48, 96, 3), np.uint8)
        >>> right = np.roll(left, -8, axis=1)  # 8 px to the left
        >>> found = OpenCVTeacher(OpenCVPart(max_disparity=32)).match_stereo(left, right)
        >>> np.median(found.values[found.known]).round(1).item()
        8.0
    """

    def __init__(self, part: OpenCVPart, flow: bool = True, disparity: bool = True) -> None:
        self.part, self.flow, self.disparity = part, flow, disparity

    def __call__(self, sample: Sample) -> dict[str, Estimate]:
        found: dict[str, Estimate] = {}
        with _one_thread():
            if self.flow:
                first, second = image_array(sample, "left_t0"), image_array(sample, "left_t1")
                found["flow"] = self.match_flow(first, second)
                found["flow_backward"] = self.match_flow(second, first)
            if self.disparity:
                for time, suffix in (("t0", "t0"), ("t1", "next")):
                    left, right = image_array(sample, f"left_{time}"), image_array(sample, f"right_{time}")
                    found[f"disparity_{suffix}"] = self.match_stereo(left, right)
                    found[f"disparity_right_{suffix}"] = self.match_right(left, right)
        return found

    def match_flow(self, first: Image, second: Image) -> Estimate:
        """Compute DIS flow (H, W, 2) from `first` to `second`; known everywhere.

        Raises:
            UserError: the images are too small.
        """
        if min(first.shape[:2]) < _SMALLEST:
            raise UserError(
                f"DIS flow needs images of at least {_SMALLEST} px per side, not {first.shape[0]}x{first.shape[1]}."
            )
        matcher = cv2.DISOpticalFlow.create(_PRESETS[self.part.preset])
        from_, to = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second))
        return estimate(matcher.calc(from_, to, np.zeros((*first.shape[:2], 2), np.float32)))

    def match_stereo(self, left: Image, right: Image) -> Estimate:
        """Compute the disparity (H, W, 1) of the left image, px, positive; unknown where the matcher finds none."""
        part = self.part
        size = 3 * part.block_size**2  # channels times pixels, as OpenCV's docs recommend for P1 and P2
        matcher = cv2.StereoSGBM.create(
            minDisparity=0,
            numDisparities=part.max_disparity,
            blockSize=part.block_size,
            P1=8 * size,
            P2=32 * size,
            disp12MaxDiff=-1,  # off: `confidence` has its own left-right check
            preFilterCap=part.prefilter_cap,
            uniquenessRatio=part.uniqueness_ratio,
            speckleWindowSize=part.speckle_window,
            speckleRange=part.speckle_range,
            mode=_MODES[part.mode],
        )
        # The matcher skips the first `max_disparity` columns regardless of their disparity: repeat the border there.
        padded = [
            cv2.copyMakeBorder(image, 0, 0, part.max_disparity, 0, cv2.BORDER_REPLICATE)
            for image in (left, right)
        ]
        codes = matcher.compute(padded[0], padded[1])[:, part.max_disparity :]
        return estimate(codes[..., None].astype(np.float32) / _STEPS, codes > 0)

    def match_right(self, left: Image, right: Image) -> Estimate:
        """Compute the disparity (H, W, 1) of the right image, positive, from the mirrored and swapped pair."""
        mirrored = self.match_stereo(_mirror(right), _mirror(left))
        return Estimate(_mirror(mirrored.values), _mirror(mirrored.known))


def _mirror(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    return np.ascontiguousarray(array[:, ::-1])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit OpenCV to one thread: DIS splits the image into one stripe per thread, which changes its flow."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
