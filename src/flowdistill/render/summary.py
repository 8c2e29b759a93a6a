"""Statistics of a rendered data set, as counts that can be summed in any order, and as text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowdistill.render.sequence import RenderedFrame

# Values are counted in bins of 1/4 px; the last bin is for values of 1024 px or more.
_BINS_PER_PIXEL = 4
_BINS = 1024 * _BINS_PER_PIXEL + 1
_BAR = 40


@dataclass
class Summary:
    """Histograms of flow magnitude and disparity at t0, and occlusion counts, over pixels with ground truth."""

    samples: int
    flow: NDArray[np.int64]  # (bins,)
    disparity: NDArray[np.int64]  # (bins,)
    occluded: int
    occluded_stereo: int

    @classmethod
    def empty(cls) -> Summary:
        """Return the summary of zero samples."""
        return cls(0, np.zeros(_BINS, np.int64), np.zeros(_BINS, np.int64), 0, 0)

    def count(self, frame: RenderedFrame) -> None:
        """Add one sample."""
        self.samples += 1
        self.flow += _histogram(np.sqrt(np.square(frame.flow).sum(axis=2)))
        self.disparity += _histogram(frame.disparity_t0)
        self.occluded += int(np.count_nonzero(frame.occluded))
        self.occluded_stereo += int(np.count_nonzero(frame.occluded_right_t0))

    def add(self, other: Summary) -> None:
        """Add the samples of another summary."""
        self.samples += other.samples
        self.flow += other.flow
        self.disparity += other.disparity
        self.occluded += other.occluded
        self.occluded_stereo += other.occluded_stereo

    @property
    def occluded_share(self) -> float:
        """Share of the pixels of left_t0 that are not visible in left_t1."""
        return self.occluded / max(int(self.flow.sum()), 1)

    def text(self, seconds: float) -> str:
        """Return both histograms, the occluded shares and the speed, for the terminal."""
        pixels = max(int(self.flow.sum()), 1)
        return "\n".join(
            [
                *_bars("flow magnitude", self.flow),
                "",
                *_bars("disparity", self.disparity),
                "",
                f"occluded: {100 * self.occluded_share:.1f} % of left_t0 is not visible in left_t1, "
                f"{100 * self.occluded_stereo / pixels:.1f} % not in right_t0",
                f"{self.samples} samples in {seconds:.1f} s: {self.samples / max(seconds, 1e-9):.2f} samples/s",
            ]
        )


def _histogram(values: NDArray[np.float32]) -> NDArray[np.int64]:
    bins = np.minimum(values.ravel() * np.float32(_BINS_PER_PIXEL), np.float32(_BINS - 1)).astype(np.int32)
    return np.bincount(bins, minlength=_BINS)


def _bars(name: str, counts: NDArray[np.int64]) -> list[str]:
    """Return one line per octave of pixels, and the percentiles."""
    total = max(int(counts.sum()), 1)
    below = np.cumsum(counts) / total
    marks = ", ".join(
        f"{share} % under {(np.searchsorted(below, share / 100) + 1) / _BINS_PER_PIXEL:g}"
        for share in (5, 50, 95, 100)
    )
    lines = [f"{name} (px): {marks}"]
    low = 0.0
    for high in [0.5 * 2**octave for octave in range(12)]:
        first, last = int(low * _BINS_PER_PIXEL), int(high * _BINS_PER_PIXEL)
        share = float(counts[first:last].sum()) / total
        if below[first - 1 if first else 0] < 1:
            bar = "#" * round(share * _BAR)
            lines.append(f"  {low:5g} .. {high:<5g} {100 * share:5.1f} % {bar}".rstrip())
        low = high
    return lines
