"""Table and verdict of `make ablation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from flowdistill.recipes.report import Row, Scores, shows, spread, table_over_seeds, verdict
from flowdistill.recipes.scores import MEAN, ZERO

START, GT, PX, GT_PX = "no adaptation", "Gt", "Px", "Gt+Px"
PROXY = "proxy labels themselves"

#: Measures of the claim, then those that only count if the pre-trained flow is useful. Key -> title, unit.
CLAIMED = {
    "disparity_t0_epe_all": ("disparity EPE t0", "px"),
    "disparity_t1_epe_all": ("disparity EPE t1", "px"),
    "d1_all": ("D1", "%"),
    "d2_all": ("D2", "%"),
}
FLOW = {"epe_all": ("flow EPE", "px"), "fl_all": ("Fl", "%"), "sf_all": ("SF", "%")}
BAD = {"disparity_t0_bad1": ("bad-1 t0", "%"), "disparity_t1_bad1": ("bad-1 t1", "%")}
# Errors first, then rates; a repeated key keeps its first position.
COLUMNS = dict([*CLAIMED.items()][:2]) | BAD | CLAIMED | FLOW
#: The first should be better than the second. The paper's claim, then whether adaptation helped at all.
CLAIM = ((PX, GT), (GT_PX, GT), (GT_PX, PX))
ADAPTED = ((GT, START), (PX, START), (GT_PX, START))


def table(scores: Mapping[int, Scores]) -> str:
    """Markdown: one row per seed and method, then mean and spread (largest minus smallest) over the seeds."""
    columns = {key: f"{title} {unit}" for key, (title, unit) in COLUMNS.items()}
    over: dict[str, Callable[[list[float]], float]] = {"mean": mean}
    if len(scores) > 1:
        over["spread"] = spread
    notes = (
        "Held-out scenes of the second domain; proxy labels: the labelled scenes, at labelled pixels. EPE: mean "
        "error. bad-1: off by more than 1 px. D1, D2, Fl: off by more than 3 px and 5 %; SF: any of the three. Each "
        "seed has its own scenes, so that spreads of the rows include the scenes' difficulty."
    )
    rows = table_over_seeds(scores, columns, over, {"density % (t0, t1, flow)": _densities})
    return f"{rows}\n{notes}\n"


def claim(scores: Mapping[int, Scores]) -> str:
    """Report whether each comparison is supported on each measure.

    Each seed has its own scenes, so errors are compared within a seed; a difference is supported if its mean over the
    seeds is larger than its spread (largest minus smallest).
    """
    lines = ["The claim, on disparity:"]
    shown, sentences = _compare(scores, CLAIM, CLAIMED)
    lines += [*sentences, f"{shown} of {len(CLAIM) * len(CLAIMED)} comparisons are supported."]
    below = all(
        methods[START]["epe_all"] < min(methods[ZERO]["epe_all"], methods[MEAN]["epe_all"])
        for methods in scores.values()
    )
    worth = (
        "The error of the pre-trained flow is below that of zero motion and mean motion here, so that flow counts, too:"
        if below
        else "Flow does NOT count, since the error of the pre-trained flow is not below that of zero motion and mean "
        "motion here:"
    )
    shown, sentences = _compare(scores, CLAIM, FLOW)
    lines += ["", worth, *sentences, f"{shown} of {len(CLAIM) * len(FLOW)} comparisons are supported."]
    _, sentences = _compare(scores, ADAPTED, CLAIMED)
    lines += ["", "Did adaptation help at all?", *sentences]
    return "\n".join(lines)


def _compare(
    scores: Mapping[int, Scores],
    pairs: Sequence[tuple[str, str]],
    measures: Mapping[str, tuple[str, str]],
) -> tuple[int, list[str]]:
    """Return the number of supported comparisons, and a sentence per pair."""
    shown, sentences = 0, []
    for better, other in pairs:
        words = []
        for key, (title, unit) in measures.items():
            gains = [methods[other][key] - methods[better][key] for methods in scores.values()]
            shown += shows(gains)
            words.append(f"{title} {mean(gains):+.3f} {unit} (spread {spread(gains):.3f}): {verdict(gains)}")
        sentences.append(f"- {better} lower than {other} by: {'; '.join(words)}")
    return shown, sentences


def _densities(row: Row) -> str:
    keys = ("disparity_t0_density", "disparity_t1_density", "flow_density")
    return ", ".join(f"{row[key]:.0f}" if key in row else "–" for key in keys)
