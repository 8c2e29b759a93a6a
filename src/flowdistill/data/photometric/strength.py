"""How strongly a picture is changed: what is drawn at random, apart from what applies it."""

from dataclasses import dataclass

import numpy as np

GAMMA = (0.8, 1.2)
BRIGHTNESS = (0.5, 2.0)
CHANNEL = (0.8, 1.2)
BLUR_RADIUS = 6
"""Taps of the blur on each side of a pixel."""
LARGEST_BLUR = BLUR_RADIUS / 3
"""px; of a wider Gaussian the taps would miss more than 0.3 %."""
_SEEDS = 2**24  # of the noise; another number would draw other strengths from the same seed of a run


@dataclass(frozen=True)
class Draw:
    """The strengths for one picture, whose values become

    ``clip(blur(clip(image ** gamma * gain, 0, 1)) + noise, 0, 1)``.
    """

    gamma: float
    gain: tuple[float, float, float]  # of red, green and blue: brightness times channel
    blur: float  # standard deviation of the Gaussian, px; 0 leaves the picture sharp
    noise: float  # standard deviation of the Gaussian
    seed: int  # of the noise


@dataclass(frozen=True)
class Strength:
    """Ranges of the strengths.

    Colours are those of monodepth (Godard et al., CVPR 2017), which DWARF's code uses: gamma 0.8-1.2, brightness
    0.5-2 and a factor of 0.8-1.2 for each channel, all uniform.

    Attributes:
        colour: probability, for a sample, of changing gamma, brightness and channels.
        blur: largest standard deviation, px, at most 2; uniform from 0.
        noise: largest standard deviation, of values in [0, 1]; uniform from 0.
        shared: one draw for all pictures of a sample; else each has its own (as DWARF's released code does). The noise
            itself, as in a camera, is never shared.
    """

    colour: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    shared: bool = True

    def draw(self, pictures: int, rng: np.random.Generator) -> list[Draw]:
        """One draw for each picture of a sample."""
        coloured = rng.random() < self.colour
        strengths = [self._strengths(coloured, rng) for _ in range(1 if self.shared else pictures)]
        if self.shared:
            strengths *= pictures
        return [Draw(*strength, seed=int(rng.integers(_SEEDS))) for strength in strengths]

    def _strengths(
        self, coloured: bool, rng: np.random.Generator
    ) -> tuple[float, tuple[float, float, float], float, float]:
        gamma, gain = 1.0, np.ones(3)
        if coloured:
            gamma = rng.uniform(*GAMMA)
            gain = rng.uniform(*BRIGHTNESS) * rng.uniform(*CHANNEL, size=3)
        red, green, blue = gain.tolist()
        return float(gamma), (red, green, blue), rng.uniform(0, self.blur), rng.uniform(0, self.noise)
