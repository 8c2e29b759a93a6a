"""Plots of a confidence: the error of the pixels that are kept, and predicted against observed shares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flowdistill.metrics.sparsification import BINS, sparsification

Values = npt.NDArray[np.floating[Any]]


def draw_confidence(
    motions: Mapping[str, tuple[Values, Mapping[str, Values], Mapping[int, Values]]], path: Path
) -> None:
    """Draw one row per motion: risk against coverage on the left, reliability on the right.

    Args:
        motions: name -> errors (N,) px; orders by name, higher is better (N,); probabilities by threshold in px (N,).
        path: of the picture, .png or .svg.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6 * len(motions)), layout="constrained")
    axes = figure.subplots(len(motions), 2, squeeze=False)
    for (risk, reliability), (name, (error, orders, probabilities)) in zip(
        axes, motions.items(), strict=True
    ):
        coverage = 100 * (1 - np.arange(100) / 100)
        for label, order in orders.items():
            width = 2.2 if label == next(iter(orders)) else 1.2
            risk.plot(coverage, sparsification(error, order), label=label, linewidth=width)
        risk.plot(
            coverage, sparsification(error, -error), label="perfect order", color="black", linestyle=":"
        )
        risk.set(
            xlabel="pixels kept, most confident first (%)", ylabel=f"{name}: mean error (px)", xlim=(100, 0)
        )
        risk.legend(fontsize="small")
        for threshold, probability in probabilities.items():
            place = np.minimum((probability * BINS).astype(int), BINS - 1)
            count = np.bincount(place, minlength=BINS)
            filled = count > 0.0005 * len(error)
            predicted = np.bincount(place, weights=probability, minlength=BINS)[filled] / count[filled]
            observed = np.bincount(place, weights=error < threshold, minlength=BINS)[filled] / count[filled]
            reliability.plot(
                predicted, observed, marker="o", markersize=4, label=f"error under {threshold} px"
            )
        reliability.plot([0, 1], [0, 1], color="black", linestyle=":")
        reliability.set(xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
        reliability.legend(fontsize="small")
    figure.savefig(path, dpi=110)
