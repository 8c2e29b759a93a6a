"""The second rendering pass that FlyingThings3D and Sintel have: the same scene through a worse camera."""

from __future__ import annotations

import cv2
import numpy as np

from flowdistill.render.sequence import Picture

# Small enough that the truth, which is the clean pass's, still tells where things are: a lens slightly out of focus,
# and the noise of a sensor in fair light.
BLUR = 0.7  # px, standard deviation
NOISE = 2.0  # grey levels, standard deviation


def final_pass(picture: Picture, key: tuple[int, ...]) -> Picture:
    """The clean picture (H, W, 3), blurred and with Gaussian noise that is a pure function of `key`.

    Unlike the originals' final passes there is neither motion blur nor fog.
    """
    noise = np.random.default_rng(key).standard_normal(picture.shape, np.float32)
    blurred = cv2.GaussianBlur(picture, (0, 0), BLUR)
    return np.asarray(np.clip(np.rint(blurred + np.float32(NOISE) * noise), 0, 255), np.uint8)
