"""The table and the verdict of `make ablation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from flowdistill.recipes.scores import Row

Scores = dict[str, Row]  # method -> errors
ZERO, MEAN = "zero motion", "training set's mean"
START, GT, PX, GT_PX = "no adaptation", "Gt", "Px", "Gt+Px"
PROXY = "proxy labels themselves"

#: What the claim is about, then what counts only where the pre-trained flow is worth something. Key -> title, unit.
CLAIMED = {
    "disparity_t0_epe_all": ("disparity EPE t0", "px"),
    "disparity_t1_epe_all": ("disparity EPE t1", "px"),
    "d1_all": ("D1", "%"),
    "d2_all": ("D2", "%"),
}
FLOW = {"epe_all": ("flow EPE", "px"), "fl_all": ("Fl", "%"), "sf_all": ("SF", "%")}
BAD = {
    "disparity_t0_bad1": ("bad-1 t0", "%"),
    "disparity_t1_bad1": ("bad-1 t1", "%"),
}
_EPE = dict(list(CLAIMED.items())[:2])
COLUMNS = {**_EPE, **BAD, **CLAIMED, **FLOW}  # the errors, then the rates; a key keeps its first place
DENSITIES = ("disparity_t0_density", "disparity_t1_density", "flow_density")
#: The first should be better than the second. The paper's claim, then whether adapting helped at all.
CLAIM = ((PX, GT), (GT_PX, GT), (GT_PX, PX))
ADAPTED = ((GT, START), (PX, START), (GT_PX, START))


def table(scores: Mapping[int, Scores]) -> str:
    """Markdown: a row for each seed and method, then mean and spread (largest minus smallest) over the seeds."""
    titles = [f"{title} {unit}" for title, unit in COLUMNS.values()]
    lines = [
        "| seed | method | " + " | ".join(titles) + " | density % (t0, t1, flow) |",
        "|---" * (len(COLUMNS) + 3) + "|",
    ]
    for seed, methods in sorted(scores.items()):
        lines += [_line(str(seed), method, row) for method, row in methods.items()]
    names = list(next(iter(scores.values())))
    for title, over in (("mean", mean), ("spread", _spread)):
        if title == "spread" and len(scores) == 1:
            continue
        for method in names:
            rows = [found[method] for found in scores.values()]
            keys = set.intersection(*(set(row) for row in rows))
            lines.append(_line(title, method, {key: over([row[key] for row in rows]) for key in keys}))
    notes = (
        "Held-back scenes of the second domain; proxy labels: the scenes that they are of, where they are. EPE: mean "
        "error. bad-1: off by more than 1 px. D1, D2, Fl: off by more than 3 px and 5 %; SF: any of the three. Each "
        "seed has its own scenes, so that spreads of the rows hold the scenes' difficulty, too."
    )
    return "\n".join([*lines, "", notes]) + "\n"


def claim(scores: Mapping[int, Scores]) -> str:
    """Sentences: does each comparison show, on each measure?

    Each seed has its own scenes, so errors are compared within a seed; a difference shows if its mean over the seeds is
    larger than its spread, the largest minus the smallest.
    """
    lines = ["The claim, on disparity:"]
    shown, sentences = _compare(scores, CLAIM, CLAIMED)
    lines += sentences
    lines.append(f"{shown} of {len(CLAIM) * len(CLAIMED)} comparisons show.")
    below = _flow_is_learned(scores)
    worth = (
        "The pre-trained flow lies below zero motion and mean motion here, so that flow counts, too:"
        if below
        else "Flow does NOT count, since the pre-trained flow does not lie below zero motion and mean motion here:"
    )
    shown, sentences = _compare(scores, CLAIM, FLOW)
    lines += ["", worth, *sentences, f"{shown} of {len(CLAIM) * len(FLOW)} comparisons show."]
    _, sentences = _compare(scores, ADAPTED, CLAIMED)
    lines += ["", "Did adapting help at all?", *sentences]
    return "\n".join(lines)


def _compare(
    scores: Mapping[int, Scores],
    pairs: Sequence[tuple[str, str]],
    measures: Mapping[str, tuple[str, str]],
) -> tuple[int, list[str]]:
    """How many comparisons show, and a sentence a pair."""
    shown, sentences = 0, []
    for better, other in pairs:
        words = []
        for key, (title, unit) in measures.items():
            gains = [methods[other][key] - methods[better][key] for methods in scores.values()]
            enough = len(gains) > 1 and mean(gains) > _spread(gains)
            shown += enough
            words.append(
                f"{title} {mean(gains):+.3f} {unit} (spread {_spread(gains):.3f}) {_verdict(gains, enough)}"
            )
        sentences.append(f"- {better} lower than {other} by: {'; '.join(words)}")
    return shown, sentences


def _verdict(gains: Sequence[float], enough: bool) -> str:
    if len(gains) == 1:
        return "needs a second seed to be judged"
    if enough:
        return "shows"
    return "is within the spread" if mean(gains) > 0 else "does NOT show"


def _flow_is_learned(scores: Mapping[int, Scores]) -> bool:
    return all(
        methods[START]["epe_all"] < min(methods[ZERO]["epe_all"], methods[MEAN]["epe_all"])
        for methods in scores.values()
    )


def _line(seed: str, method: str, row: Row) -> str:
    cells = [f"{row[key]:.2f}" if key in row else "–" for key in COLUMNS]
    cells.append(", ".join(f"{row[key]:.0f}" if key in row else "–" for key in DENSITIES))
    return f"| {seed} | {method} | " + " | ".join(cells) + " |"


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)
