"""The timer against a clock set by the test."""

import pytest

from flowdistill.tracking.step_time import WARM_UP, StepTimer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_warm_up_and_pauses_do_not_count() -> None:
    clock = Clock()
    timer = StepTimer(clock=clock)
    for step in range(WARM_UP):
        timer.batch_starts(step)
        clock.now += 50.0  # slow at first
    lengths = [1.0, 2.0, 3.0, 4.0, 5.0]
    for step, length in enumerate(lengths, start=WARM_UP):
        timer.batch_starts(step)
        clock.now += length
    timer.batch_starts(WARM_UP + len(lengths))
    clock.now += 1000.0  # validation
    timer.pause()
    timer.batch_starts(WARM_UP + len(lengths) + 1)
    summary = timer.summary()
    assert summary == {"median": 3.0, "lower_quartile": 2.0, "upper_quartile": 4.0, "count": 5}


def test_several_batches_make_one_step() -> None:
    clock = Clock()
    timer = StepTimer(clock=clock)
    for step in range(WARM_UP + 3):
        for _ in range(4):
            timer.batch_starts(step)
            clock.now += 0.25
    assert timer.summary()["median"] == pytest.approx(1.0)
    assert timer.summary()["count"] == 2


def test_too_few_steps_give_no_number() -> None:
    timer = StepTimer(clock=Clock())
    for step in range(WARM_UP):
        timer.batch_starts(step)
    assert timer.summary() == {"median": None, "lower_quartile": None, "upper_quartile": None, "count": 0}
