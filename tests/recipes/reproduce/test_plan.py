"""The plan: hours are remaining steps times seconds per step; finished stages are recognised."""

import dataclasses
import itertools

import pytest
from stand_in import Commands

from flowdistill.errors import UserError
from flowdistill.recipes.reproduce import measure
from flowdistill.recipes.reproduce.measure import Measured
from flowdistill.recipes.reproduce.plan import plan_row, table
from flowdistill.recipes.reproduce.run import reproduce
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import ORDER as ORDERS
from flowdistill.recipes.reproduce.stages import TRAININGS

ORDER = ORDERS["kitti"]
STEP = Measured(0.5, 235_000_000, "measured")
# DWARF and DDFlow, released code.
STEPS = {
    "pretrain": 1_200_000, "gt": 50_000, "px": 50_000, "gt_px": 50_000, "final_px": 50_000, "final_gt": 50_000,
    "chairs_photometric": 100_000, "chairs_census": 300_000, "chairs_student": 300_000,
    "ddflow_photometric": 100_000, "ddflow_census": 300_000, "ddflow_student": 300_000,
}  # fmt: skip


def test_published_steps_and_their_hours(settings: Settings) -> None:
    measured = dict.fromkeys(ORDER, STEP)
    rows = {stage: plan_row(stage, settings, measured) for stage in ORDER}
    assert {stage: row.steps for stage, row in rows.items() if stage in TRAININGS} == STEPS
    assert rows["pretrain"].hours == pytest.approx(1_200_000 * 0.5 / 3600)
    assert rows["pretrain"].bytes == 470_000_000
    assert rows["labels"].steps == 4000
    # What is printed, read back: a line per stage, whose hours and disk add up to the total.
    lines = {line.split()[0]: line for line in table(list(rows.values()), settings).splitlines() if line}
    printed = {stage: lines[stage][42:].split()[:4] for stage in (*ORDER, "total") if stage in lines}
    assert {stage: printed[stage][0] for stage in STEPS} == {stage: f"{n:,}" for stage, n in STEPS.items()}
    sums = printed.pop("total")
    assert sums[0] == f"{sum(STEPS.values()):,}"
    total = [float(cell.replace(",", "")) for cell in sums[1:3]]
    for column, expected in zip((2, 3), total, strict=True):
        cells = [cells[column].replace(",", "") for cells in printed.values()]
        assert sum(float(cell) for cell in cells if cell != "-") == pytest.approx(expected, abs=0.1)
    assert total[0] == pytest.approx(sum([*STEPS.values(), 4000]) * 0.5 / 3600, abs=0.01)


def test_a_cpu_is_measured_at_batch_1_whatever_the_machines(
    ran: Commands, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "run", ran)
    monkeypatch.setattr(measure, "render", lambda data, options: None)
    both = dataclasses.replace(settings, nodes=2)
    with pytest.raises(UserError, match="too few steps were timed"):  # the stand-in times none
        measure.measure_training(TRAININGS["gt"], both)
    last = {key: value for key, value in itertools.pairwise(ran.calls[0]) if key.startswith("--")}
    assert last["--data.init_args.batch_size"] == "1"
    assert last["--trainer.num_nodes"] == "1"
    assert last["--trainer.max_steps"] == "6"


def test_steps_that_are_done_are_not_planned_again(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ["pretrain"])
    ran.fails_at = "supervision/gt.yaml"
    with pytest.raises(UserError, match="killed"):
        reproduce(settings, ["gt"])
    measured = dict.fromkeys(ORDER, STEP)
    assert plan_row("pretrain", settings, measured).left == 0
    row = plan_row("gt", settings, measured)
    assert (row.state, row.left) == ("at step 20", 49_980)
    assert plan_row("px", settings, measured).state == "to do"
