"""Random permutation of the colour channels."""

from typing import Any, cast

import numpy as np
import torch

from flowdistill.data.sample import IMAGES, Sample


class ChannelSwap:
    """Permute red, green and blue: a random one of the six orders, the same in all images."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        order = torch.from_numpy(rng.permutation(3))
        out: dict[str, Any] = dict(sample)
        for key in IMAGES:
            if key in out:
                out[key] = out[key][order]
        return cast(Sample, out)
