"""Fit a confidence to a checkpoint on rendered rooms, and measure it on rendered streets, which it has not seen.

OUTPUT (X.confidence.json)    the calibration, with the numbers of the test
X.confidence.png              sparsification (risk-coverage) and reliability curves
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from flowdistill.inference.calibration import FEATURES, THRESHOLDS, Calibration, features, fit_logistic
from flowdistill.inference.evidence import CUES
from flowdistill.inference.predictor import Predictor, as_tensor
from flowdistill.inference.weights_hash import weights_hash
from flowdistill.metrics.sparsification import ause, calibration_error
from flowdistill.render import render_scene

FIT_WORLD, TEST_WORLD = "rooms", "street"
MOST_PIXELS = 300_000  # that the regression is fitted to
SEED = 12_345  # of scenes; the demos train on small seeds
RESAMPLES = 200
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scenes:
    """Which scenes are rendered."""

    count: int = 32
    size: tuple[int, int] = (96, 192)
    stride: int = 2
    seed: int = SEED


@dataclass
class Pixels:
    """One motion's pixels of one scene: errors (N,) px, features (N, FEATURES), cues (3, N)."""

    error: Numbers
    features: Numbers
    cues: Numbers


def pixels_of(predictor: Predictor, world: str, scenes: Scenes) -> Iterator[dict[str, Pixels]]:
    """Yield the pixels of every scene of a world, by motion."""
    for scene in tqdm(range(scenes.count), desc=world, unit="scene"):
        frame = next(iter(render_scene(scenes.seed, scene, 2, scenes.size, scenes.stride, world)))
        images = {name: as_tensor(getattr(frame, name), name)[None] for name in predictor.images}
        images = {name: image.to(predictor.model.device) for name, image in images.items()}
        motions, evidence = predictor.evidence(images)
        found = {}
        for name, each in evidence.items():
            truth = torch.from_numpy(np.ascontiguousarray(getattr(frame, name).transpose(2, 0, 1)))[None]
            error = (motions[name].cpu() - truth).square().sum(dim=1).sqrt().flatten()
            values = features(each)[0].flatten(1).T
            found[name] = Pixels(
                error.double().numpy(),
                values.double().cpu().numpy(),
                each[0, :3].flatten(1).double().cpu().numpy(),
            )
        yield found


def fit_confidence(predictor: Predictor, scenes: Scenes) -> tuple[Calibration, dict[str, list[Pixels]]]:
    """Fit a calibration on rooms and test it on streets; returns it, with the numbers, and the test's pixels.

    Examples:
        >>> from flowdistill.inference.predictor import Predictor
        >>> from flowdistill.recipes.confidence import Scenes, fit_confidence
        >>> from flowdistill.training import DDFlowModule
        >>> predictor = Predictor(DDFlowModule(losses={"census_no_occlusion": 1.0}, width=0.0625).eval())
        >>> calibration, _ = fit_confidence(predictor, Scenes(count=2, size=(64, 96)))
        >>> list(calibration.coefficients), sorted(calibration.about["test"]["flow"])[:2]
        (['flow'], ['ause', 'ause_best_cue'])
    """
    fitted = _by_motion(pixels_of(predictor, FIT_WORLD, scenes))
    rng = np.random.default_rng(0)
    coefficients = {}
    for name, each in fitted.items():
        error, values = np.concatenate([p.error for p in each]), np.concatenate([p.features for p in each])
        chosen = rng.choice(len(error), min(len(error), MOST_PIXELS), replace=False)
        coefficients[name] = {
            threshold: fit_logistic(values[chosen], error[chosen] < threshold).tolist()
            for threshold in THRESHOLDS
        }
    test = _by_motion(pixels_of(predictor, TEST_WORLD, scenes))
    about: dict[str, Any] = {
        "fitted on": FIT_WORLD,
        "tested on": TEST_WORLD,
        "scenes": scenes.count,
        "size": list(scenes.size),
        "stride": scenes.stride,
        "seed": scenes.seed,
        "test": {name: measure(each, coefficients[name]) for name, each in test.items()},
    }
    return Calibration(coefficients, weights_hash(predictor.model.network), about), test


def measure(scenes: list[Pixels], coefficients: dict[int, list[float]]) -> dict[str, Any]:
    """Return the numbers of the test: errors, calibration errors, and AUSE beside the best single cue's.

    The interval of the ratio of both areas is the central 95 % over resampled scenes; the cue is that which is best on
    all scenes.
    """
    error = np.concatenate([each.error for each in scenes])
    probability = {
        t: np.concatenate([probabilities(each, coefficients[t]) for each in scenes]) for t in THRESHOLDS
    }
    cues = np.concatenate([each.cues for each in scenes], axis=1)
    ordering = sum(probability.values())
    assert isinstance(ordering, np.ndarray)
    areas = [ause(error, -cue) for cue in cues]
    best = int(np.argmin(areas))
    mine = ause(error, ordering)
    lengths = np.cumsum([0, *(len(each.error) for each in scenes)])
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(scenes), len(scenes))
        place = np.concatenate([np.arange(lengths[k], lengths[k + 1]) for k in drawn])
        ratios.append(ause(error[place], ordering[place]) / max(1e-9, ause(error[place], -cues[best][place])))
    low, high = np.percentile(ratios, [2.5, 97.5])
    return {
        "epe": round(float(error.mean()), 3),
        "share_under": {str(t): round(float((error < t).mean()), 3) for t in THRESHOLDS},
        "calibration_error": {
            str(t): round(calibration_error(probability[t], error < t), 4) for t in THRESHOLDS
        },
        "ause": round(mine, 4),
        "ause_best_cue": round(areas[best], 4),
        "best_cue": CUES[best],
        "ause_cues": {cue: round(area, 4) for cue, area in zip(CUES, areas, strict=True)},
        "ratio": round(mine / max(1e-9, areas[best]), 3),
        "ratio_interval": [round(float(low), 3), round(float(high), 3)],
    }


def probabilities(pixels: Pixels, coefficients: list[float]) -> Numbers:
    """Return the probabilities (N,) of a scene's pixels."""
    assert len(coefficients) == FEATURES
    return 1 / (1 + np.exp(-np.clip(pixels.features @ np.asarray(coefficients), -30, 30)))


def table(calibration: Calibration) -> str:
    """Return the numbers of the test as a Markdown table."""
    lines = [
        "| motion | EPE | under 1 px | under 3 px | ECE 1 px | ECE 3 px | AUSE | best cue's | ratio (95 %) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, n in calibration.about["test"].items():
        low, high = n["ratio_interval"]
        lines.append(
            f"| {name} | {n['epe']:.2f} | {100 * n['share_under']['1']:.0f} % | {100 * n['share_under']['3']:.0f} % | "
            f"{n['calibration_error']['1']:.3f} | {n['calibration_error']['3']:.3f} | {n['ause']:.3f} | "
            f"{n['ause_best_cue']:.3f} ({n['best_cue']}) | {n['ratio']:.2f} ({low:.2f}..{high:.2f}) |"
        )
    return "\n".join(lines)


def plot(test: dict[str, list[Pixels]], calibration: Calibration, path: Path) -> None:
    """Draw, for each motion, risk against coverage and probability against share."""
    from flowdistill.visual.risk_coverage import draw_confidence

    drawn = {}
    for name, scenes in test.items():
        error = np.concatenate([each.error for each in scenes])
        cues = np.concatenate([each.cues for each in scenes], axis=1)
        found = {
            t: np.concatenate([probabilities(each, calibration.coefficients[name][t]) for each in scenes])
            for t in THRESHOLDS
        }
        orders = {
            "combined": sum(found.values()),
            **{cue: -values for cue, values in zip(CUES, cues, strict=True)},
        }
        drawn[name] = (error, orders, found)
    draw_confidence(drawn, path)


def _by_motion(scenes: Iterator[dict[str, Pixels]]) -> dict[str, list[Pixels]]:
    found: dict[str, list[Pixels]] = {}
    for each in scenes:
        for name, pixels in each.items():
            found.setdefault(name, []).append(pixels)
    return found
