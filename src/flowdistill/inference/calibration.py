"""From evidence to the probability that a motion's error is under a threshold: logistic regression.

    evidence      # (B, 4, H, W), see evidence.py
    features      # (B, FEATURES, H, W)
    probability   # (B, 1, H, W)

The features are logarithms of the three cues, their means over 9x9 pixels, and all products of two: a quadratic form in
the logarithms. Where a motion leads out of the image, only the spread counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from flowdistill.errors import UserError
from flowdistill.formats import write_atomically

THRESHOLDS = (1, 3)  # px
WINDOW = 9
_FLOORS = (0.05, 0.5, 0.02)  # added to the cues before their logarithms: px, census, px
_LINEAR = 7  # three cues, three means, outside
FEATURES = 1 + _LINEAR + 6 * 7 // 2
VERSION = 1
RIDGE = 1e-3
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Coefficients by motion and threshold, and what they were fitted to.

    Examples:
        >>> import torch
        >>> from flowdistill.inference.calibration import FEATURES, Calibration
        >>> calibration = Calibration({"flow": {3: [2.0] + [0.0] * (FEATURES - 1)}}, weights_sha256="", about={})
        >>> probability = calibration.probability("flow", torch.zeros(1, 4, 12, 16), threshold=3)
        >>> round(probability.mean().item(), 4)  # sigmoid(2)
        0.8808
    """

    coefficients: Mapping[str, Mapping[int, list[float]]]
    weights_sha256: str  # of the network, see `export.weights_hash`
    about: Mapping[str, Any] = field(default_factory=dict)

    def probability(self, motion: str, evidence: Tensor, threshold: int) -> Tensor:
        """Return the probability (B, 1, H, W) that the motion's error is under `threshold` px.

        Raises:
            KeyError: it was not fitted for this motion.
        """
        values = features(evidence)
        weights = values.new_tensor(self.coefficients[motion][threshold])
        return torch.sigmoid(torch.einsum("bfhw,f->bhw", values, weights)).unsqueeze(1)

    @property
    def digest(self) -> str:
        """Return a short name of the coefficients."""
        return hashlib.sha256(json.dumps(self._coefficients()).encode()).hexdigest()[:16]

    def _coefficients(self) -> dict[str, dict[str, list[float]]]:
        return {
            motion: {str(threshold): [round(w, 6) for w in weights] for threshold, weights in each.items()}
            for motion, each in self.coefficients.items()
        }

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        content = {
            "version": VERSION,
            "weights_sha256": self.weights_sha256,
            "about": dict(self.about),
            "coefficients": self._coefficients(),
        }
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def read_calibration(path: Path, option: str) -> Calibration:
    """Read a calibration.

    Raises:
        UserError: it is missing, damaged or of another version.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["version"] != VERSION:
            raise UserError(
                f"{option}: {path} is of version {stored['version']}, not {VERSION}; fit it again"
            )
        coefficients = {
            motion: {int(threshold): [float(w) for w in weights] for threshold, weights in each.items()}
            for motion, each in stored["coefficients"].items()
        }
        if any(len(weights) != FEATURES for each in coefficients.values() for weights in each.values()):
            raise ValueError("wrong number of coefficients")
        return Calibration(coefficients, str(stored["weights_sha256"]), dict(stored["about"]))
    except OSError as error:
        raise UserError(f"{option}: {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{option}: {path} is not a calibration; make it with flowdistill confidence fit"
        ) from error


def features(evidence: Tensor) -> Tensor:
    """Compute the features of evidence: (B, 4, H, W) -> (B, FEATURES, H, W)."""
    outside = evidence[:, 3:]
    floors = evidence.new_tensor(_FLOORS).view(1, 3, 1, 1)
    logs = (evidence[:, :3].clamp(0, 1e4) + floors).log()
    inside = torch.cat([1 - outside, 1 - outside, torch.ones_like(outside)], dim=1)
    logs = logs * inside
    # Means over the pixels inside the window for which the cue counts.
    padding = WINDOW // 2
    count = F.avg_pool2d(inside, WINDOW, 1, padding, count_include_pad=False)
    means = F.avg_pool2d(logs, WINDOW, 1, padding, count_include_pad=False) / count.clamp_min(1e-6)
    linear = torch.cat([logs, means], dim=1)
    products = [linear[:, i : i + 1] * linear[:, i:] for i in range(linear.shape[1])]
    return torch.cat([torch.ones_like(outside), outside, linear, *products], dim=1)


def fit_logistic(values: Numbers, correct: npt.NDArray[np.bool_], steps: int = 30) -> Numbers:
    """Fit the coefficients of a logistic regression by Newton's method, with a small ridge on standardised features.

    Args:
        values: (N, F), the first column constant.
        correct: (N,).

    Examples:
        >>> import numpy as np
        >>> from flowdistill.inference.calibration import fit_logistic
        >>> rng = np.random.default_rng(0)
        >>> x = np.stack([np.ones(20000), rng.normal(size=20000)], axis=1)
        >>> correct = rng.uniform(size=20000) < 1 / (1 + np.exp(-(x @ [0.5, -2.0])))
        >>> np.round(fit_logistic(x, correct), 1).tolist()
        [0.5, -2.0]
    """
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    mean[0], deviation[deviation < 1e-9] = 0.0, 1.0
    x = (values - mean) / deviation
    x[:, 0] = 1.0
    weights = np.zeros(x.shape[1])
    ridge = np.full(x.shape[1], RIDGE * len(x))
    ridge[0] = 0.0
    for _ in range(steps):
        probability = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (probability - correct) + ridge * weights
        curvature = (x * (probability * (1 - probability))[:, None]).T @ x + np.diag(ridge + 1e-9)
        change = np.linalg.solve(curvature, slope)
        weights -= change
        if np.abs(change).max() < 1e-6:
            break
    original = weights / deviation
    original[0] = weights[0] - float((weights[1:] * mean[1:] / deviation[1:]).sum())
    return original
