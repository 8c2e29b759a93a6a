"""The final pass of FlyingThings3D and Sintel: the same scene with image degradations."""

from __future__ import annotations

import cv2
import numpy as np

from flowdistill.render.sequence import Picture

# Small enough that the ground truth of the clean pass still applies: a slightly defocused lens, and sensor noise in
# good light.
BLUR = 0.7  # px, standard deviation
NOISE = 2.0  # grey levels, standard deviation


def final_pass(picture: Picture, key: tuple[int, ...]) -> Picture:
    """Blur the clean image (H, W, 3) and add Gaussian noise that is a pure function of `key`.

    Unlike in the original data sets there is neither motion blur nor fog.
    """
    noise = np.random.default_rng(key).standard_normal(picture.shape, np.float32)
    blurred = cv2.GaussianBlur(picture, (0, 0), BLUR)
    return np.asarray(np.clip(np.rint(blurred + np.float32(NOISE) * noise), 0, 255), np.uint8)
