"""Random parameters of the photometric augmentation, independent of the code that applies them."""

from dataclasses import dataclass, replace

import numpy as np

GAMMA = (0.8, 1.2)
BRIGHTNESS = (0.5, 2.0)
CHANNEL = (0.8, 1.2)
BLUR_RADIUS = 6
"""Filter taps on each side of a pixel."""
LARGEST_BLUR = BLUR_RADIUS / 3
"""px; the taps would truncate more than 0.3 % of a wider Gaussian."""
_SEEDS = 2**24  # number of noise seeds; changing it would change all later draws of a run with the same seed


@dataclass(frozen=True)
class Draw:
    """The parameters for one image, which becomes

    ``clip(blur(clip(image ** gamma * gain, 0, 1)) + noise, 0, 1)``.
    """

    gamma: float
    gain: tuple[float, float, float]  # of red, green and blue: brightness times channel
    blur: float  # standard deviation of the Gaussian, px; 0 means no blur
    noise: float  # standard deviation of the Gaussian
    seed: int = 0  # of the noise


@dataclass(frozen=True)
class Strength:
    """Ranges of the parameters.

    Colour changes are those of monodepth (Godard et al., CVPR 2017), as used in DWARF's code: gamma 0.8-1.2, brightness
    0.5-2 and a factor of 0.8-1.2 for each channel, all uniform.

    Attributes:
        colour: probability per sample of changing gamma, brightness and channels.
        blur: largest standard deviation, px, at most 2; uniform from 0.
        noise: largest standard deviation, of values in [0, 1]; uniform from 0.
        shared: use one draw for all images of a sample; else one per image (as DWARF's released code does). The noise
            itself is never shared, as in a real camera.
    """

    colour: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    shared: bool = True

    def draw(self, pictures: int, rng: np.random.Generator) -> list[Draw]:
        """Return one draw per image of a sample."""
        coloured = rng.random() < self.colour
        draws = [self._draw(coloured, rng) for _ in range(1 if self.shared else pictures)]
        if self.shared:
            draws *= pictures
        return [replace(draw, seed=int(rng.integers(_SEEDS))) for draw in draws]

    def _draw(self, coloured: bool, rng: np.random.Generator) -> Draw:
        gamma, gain = 1.0, np.ones(3)
        if coloured:
            gamma = rng.uniform(*GAMMA)
            gain = rng.uniform(*BRIGHTNESS) * rng.uniform(*CHANNEL, size=3)
        red, green, blue = gain.tolist()
        blur, noise = rng.uniform(0, self.blur), rng.uniform(0, self.noise)
        return Draw(float(gamma), (red, green, blue), blur, noise)
