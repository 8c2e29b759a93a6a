"""The verdict of `make demo-distill`: a gain only counts relative to its spread over the seeds."""

import pytest

from flowdistill.recipes.demo_distill import CONTROL, STUDENT, TEACHER, claim, table
from flowdistill.recipes.report import Scores


def scores(student: float, teacher: float, control: float) -> Scores:
    return {
        method: {"epe_all": occ / 2, "epe_noc": occ / 4, "epe_occ": occ}
        for method, occ in {TEACHER: teacher, CONTROL: control, STUDENT: student}.items()
    }


@pytest.mark.parametrize(
    ("seeds", "shown"),
    [
        ({0: scores(1.8, 2.0, 2.2), 1: scores(2.7, 3.0, 3.3), 2: scores(0.92, 1.0, 1.1)}, True),
        # As good on average, but the seeds differ by more than the gain: 30 %, 0 %, 0 %.
        ({0: scores(1.4, 2.0, 2.0), 1: scores(3.0, 3.0, 3.0), 2: scores(1.0, 1.0, 1.0)}, False),
        # Better than the teacher, not than the control.
        ({0: scores(1.8, 2.0, 1.7), 1: scores(1.8, 2.0, 1.7)}, False),
        # One seed has no spread.
        ({0: scores(1.0, 2.0, 2.0)}, False),
    ],
)
def test_claim(seeds: dict[int, Scores], shown: bool) -> None:
    assert claim(seeds)[0] is shown


def test_claim_says_the_mean_and_the_spread() -> None:
    _, text = claim({0: scores(1.8, 2.0, 2.0), 1: scores(1.6, 2.0, 2.0)})
    assert "EPE 15.0 % lower (mean of 2 seeds, spread 10.0): supported" in text


def test_table_has_every_seed_and_the_mean() -> None:
    lines = table({3: scores(1.0, 2.0, 4.0), 1: scores(3.0, 4.0, 6.0)}).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["1"] * 3 + ["3"] * 3 + ["mean"] * 3
    assert f"| mean | {STUDENT} | 1.00 | 0.50 | 2.00 |" in lines
