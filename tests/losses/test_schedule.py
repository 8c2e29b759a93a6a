"""Schedules as functions of the step: exact at knots, between their neighbours elsewhere, and rejected if invalid."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdistill.errors import UserError
from flowdistill.losses import Schedule
from flowdistill.losses.schedule import (
    BETWEEN,
    as_schedule,
    first_step_without_loss,
    plain_weights,
    positive_weights,
)

STEPS = st.integers(0, 10**7)
VALUES = st.floats(0, 1e6)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    steps = sorted(draw(st.sets(STEPS, min_size=1, max_size=6)))
    knots = [(step, draw(VALUES)) for step in steps]
    return Schedule(knots, draw(st.sampled_from(BETWEEN)))


@given(schedules(), STEPS)
def test_values_are_exact_at_knots_and_between_their_neighbours_elsewhere(
    schedule: Schedule, step: int
) -> None:
    for knot, value in schedule.knots:
        assert schedule.at(knot) == value
    before = [value for knot, value in schedule.knots if knot <= step] or [schedule.knots[0][1]]
    after = [value for knot, value in schedule.knots if knot > step] or [schedule.knots[-1][1]]
    low, high = sorted((before[-1], after[0]))
    assert low <= schedule.at(step) <= high
    if schedule.between == "step":
        assert schedule.at(step) == before[-1]


@given(schedules())
def test_outside_the_knots_it_holds_the_first_and_the_last_value(schedule: Schedule) -> None:
    (first, start), (last, end) = schedule.knots[0], schedule.knots[-1]
    assert schedule.at(max(0, first - 1)) == start
    assert schedule.at(last + 10**8) == end


@pytest.mark.parametrize(
    ("between", "expected"),
    [("step", [2, 2, 2, 2, 6]), ("linear", [2, 3, 4, 5, 6]),
     ("cosine", [2, 4 - math.sqrt(2), 4, 4 + math.sqrt(2), 6])],
)  # fmt: skip
def test_forms_between_two_knots(between: str, expected: list[float]) -> None:
    schedule = Schedule([(100, 2.0), (500, 6.0)], between)
    assert [schedule.at(step) for step in (100, 200, 300, 400, 500)] == pytest.approx(expected)


@given(schedules())
def test_a_checkpoint_s_form_gives_the_same_schedule(schedule: Schedule) -> None:
    assert as_schedule("x", plain_weights(schedule)) == schedule
    assert plain_weights({"a": schedule, "b": 1.0}) == {"a": plain_weights(schedule), "b": 1.0}


def test_a_number_is_a_constant_schedule() -> None:
    schedule = as_schedule("x", 0.25)
    assert schedule.constant
    assert [schedule.at(step) for step in (0, 1, 10**9)] == [0.25] * 3


@pytest.mark.parametrize(
    ("weight", "text"),
    [(Schedule([]), r"losses\.a: a schedule needs at least one knot"),
     (Schedule([(5, 1.0), (5, 2.0)]), r"losses\.a\.knots\[1\]: steps must increase, but 5 follows 5"),
     (Schedule([(0, 1.0), (9, 1.0), (4, 2.0)]), r"losses\.a\.knots\[2\]: steps must increase, but 4 follows 9"),
     (Schedule([(-1, 1.0)]), r"losses\.a\.knots\[0\]: steps start at 0, got -1"),
     (Schedule([(0, -1.0)]), r"losses\.a\.knots\[0\] must be 0 or more and finite, got -1"),
     (Schedule([(0, 1.0), (1, math.inf)]), r"losses\.a\.knots\[1\] must be 0 or more and finite, got inf"),
     (Schedule([(0, 1.0)], "cubic"), r"losses\.a\.between must be one of step, linear, cosine, got 'cubic'"),
     (math.nan, r"losses\.a must be 0 or more and finite, got nan"),
     ({"knots": []}, r"losses\.a: a schedule needs")],
)  # fmt: skip
def test_wrong_schedules_are_refused_by_name(weight: Schedule | float, text: str) -> None:
    with pytest.raises(UserError, match=text):
        as_schedule("losses.a", weight)


def test_what_a_step_computes() -> None:
    weights = {
        "a": as_schedule("a", Schedule([(0, 1.0), (4, 0.0)], "step")),
        "b": as_schedule("b", Schedule([(2, 0.0), (6, 1.0)])),
        "c": as_schedule("c", 0.5),
    }
    assert positive_weights(weights, 2) == {"a": 1.0, "c": 0.5}
    assert positive_weights(weights, 4) == {"b": 0.5, "c": 0.5}


@given(st.lists(schedules(), min_size=1, max_size=3), st.integers(1, 60))
def test_the_first_empty_step_is_found_as_by_trying_all(schedules: list[Schedule], steps: int) -> None:
    # Small steps and many zeros, so that gaps occur.
    small = {
        str(number): Schedule(
            sorted({step % 40: value * (value > 5e5) for step, value in schedule.knots}.items()),
            schedule.between,
        )
        for number, schedule in enumerate(schedules)
    }
    empty = (step for step in range(steps) if not positive_weights(small, step))
    assert first_step_without_loss(small, steps) == next(empty, None)
