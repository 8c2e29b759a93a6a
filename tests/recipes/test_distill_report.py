"""The verdict of `make demo-distill`: a gain only counts relative to its spread over the seeds."""

import json
from pathlib import Path

import pytest

from flowdistill.recipes.demo_distill import (
    COMPARED,
    CONTROL,
    JOINT_STUDENT,
    JOINT_TEACHER,
    STUDENT,
    TEACHER,
    claim,
    finished,
    table,
)
from flowdistill.recipes.report import Scores


def scores(student: float, teacher: float, control: float, joint: float = 9.0) -> Scores:
    methods = {
        TEACHER: teacher, CONTROL: control, STUDENT: student, JOINT_STUDENT: joint, JOINT_TEACHER: teacher / 2,
    }  # fmt: skip
    return {
        method: {"epe_all": occ / 2, "epe_noc": occ / 4, "epe_occ": occ} for method, occ in methods.items()
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
    shown, text = claim({0: scores(1.8, 2.0, 2.0, 0.6), 1: scores(1.6, 2.0, 2.0, 0.4)})
    lines = text.splitlines()
    end = "% lower (mean of 2 seeds, spread 10.0): supported"
    assert [line for line in lines[:2] if line.endswith(f": EPE 15.0 {end}")] == lines[:2]
    # Of a teacher in training: 70 and 80 % below the teacher it started from and the control, 40 and 60 below it.
    assert lines[2] == f"occluded pixels, {JOINT_STUDENT} against {TEACHER}: EPE 75.0 {end}"
    assert lines[3] == f"occluded pixels, {JOINT_STUDENT} against {CONTROL}: EPE 75.0 {end}"
    assert f"against {JOINT_TEACHER}: EPE 50.0 % lower (mean of 2 seeds, spread 20.0)" in lines[4]
    assert shown
    assert claim({0: scores(1.8, 2.0, 2.0, 9.0), 1: scores(1.6, 2.0, 2.0, 9.0)})[0]  # it does not decide


def test_table_has_every_seed_and_the_mean() -> None:
    lines = table({3: scores(1.0, 2.0, 4.0), 1: scores(3.0, 4.0, 6.0)}).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["1"] * 5 + ["3"] * 5 + ["mean"] * 5
    assert f"| mean | {STUDENT} | 1.00 | 0.50 | 2.00 |" in lines
    assert f"| mean | {JOINT_TEACHER} | 0.75 | 0.38 | 1.50 |" in lines


def test_seeds_of_an_earlier_version_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = scores(1.0, 2.0, 2.0)
    older = {method: row for method, row in whole.items() if method in (TEACHER, STUDENT, CONTROL)}
    for seed, rows in {0: older, 7: whole}.items():
        (tmp_path / f"seed{seed}").mkdir()
        (tmp_path / f"seed{seed}" / "errors.json").write_text(json.dumps(rows))
    assert finished(tmp_path) == {7: whole}
    assert "seed0 is of an earlier version and left out" in capsys.readouterr().err
    assert len(set(COMPARED.values())) == 5
