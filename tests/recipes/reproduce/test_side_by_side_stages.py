"""More devices than a training can use: independent stages run side by side, each on its own devices."""

import dataclasses
import itertools
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from stand_in import Commands

from flowdistill.errors import UserError
from flowdistill.recipes import commands
from flowdistill.recipes.reproduce import run
from flowdistill.recipes.reproduce.measure import Measured
from flowdistill.recipes.reproduce.plan import elapsed, plan_row
from flowdistill.recipes.reproduce.run import reproduce
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import TRAININGS, choose
from flowdistill.recipes.side_by_side import as_needed, current_place

KITTI = choose([], "kitti")


@pytest.mark.parametrize(
    ("devices", "each", "visible", "expected"),
    [
        (1, None, None, [None]),
        (4, None, None, [None]),
        (8, None, None, ["0,1,2,3", "4,5,6,7"]),
        (6, None, None, ["0,1", "2,3", "4,5"]),
        (3, None, None, ["0", "1", "2"]),
        (4, 1, "3,5,6,7", ["3", "5", "6", "7"]),
        (2, 1, "GPU-a,GPU-b,GPU-c", ["GPU-a", "GPU-b"]),
    ],
)
def test_each_place_has_its_gpus(
    devices: int,
    each: int | None,
    visible: str | None,
    expected: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    settings = Settings(Path("data"), Path("runs"), devices=devices, devices_each=each)
    assert [place.get("CUDA_VISIBLE_DEVICES") for place in settings.places] == expected


class Watched(Commands):
    """Records which stages overlap, and the place of each training."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.now: set[str] = set()
        self.together: set[frozenset[str]] = set()
        self.places: dict[str, str] = {}
        self.order: list[str] = []

    def __call__(self, module: str, arguments: Sequence[str], allowed: Collection[int] = (0,)) -> int:
        values = dict(itertools.pairwise(arguments))
        name = values.get("--trainer.logger.init_args.name")
        if arguments[0] != "fit" or name is None:
            with self.lock:
                return super().__call__(module, arguments, allowed)
        with self.lock:
            self.now.add(name)
            self.order.append(name)
            self.places[name] = current_place().get("CUDA_VISIBLE_DEVICES", "")
            self.together |= {frozenset(pair) for pair in itertools.combinations(self.now, 2)}
        time.sleep(0.2)
        with self.lock:
            code = super().__call__(module, arguments, allowed)
            self.now.discard(name)
        return code


def test_independent_stages_overlap_and_dependent_ones_never(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched()
    monkeypatch.setattr(commands, "run", watched)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(run, "check_devices", lambda settings, stages: None)
    reproduce(dataclasses.replace(settings, accelerator="gpu", devices=12), KITTI)
    assert set(watched.order) == {name for name in KITTI if name in TRAININGS}
    # Three trainings at a time, of four GPUs each.
    assert {*watched.places.values()} == {"0,1,2,3", "4,5,6,7", "8,9,10,11"}
    assert frozenset({"pretrain", "chairs_photometric"}) in watched.together
    assert watched.together & {
        frozenset(pair) for pair in itertools.combinations(("gt", "px", "gt_px", "final_px"), 2)
    }
    for name in watched.order:
        for start in TRAININGS[name].starts:
            if start in watched.order:
                assert watched.order.index(start) < watched.order.index(name)
                assert frozenset({start, name}) not in watched.together
    fit = dict(itertools.pairwise(next(call for call in watched.calls if call[0] == "fit")))
    assert (fit["--trainer.devices"], fit["--data.init_args.batch_size"]) == ("4", "4")


def test_a_failure_stops_what_has_not_begun(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    watched.fails_at = "configs/dwarf/things.yaml"
    monkeypatch.setattr(commands, "run", watched)
    both = dataclasses.replace(settings, devices=2, devices_each=1)
    with pytest.raises(UserError, match="killed"):
        reproduce(both, ["pretrain", "gt", "chairs_photometric", "chairs_census"])
    assert "gt" not in watched.order
    watched.fails_at = None
    watched.order.clear()
    reproduce(both, ["pretrain", "gt"])
    assert watched.order == ["pretrain", "gt"]


def test_jobs_start_when_what_they_need_is_done() -> None:
    seen: list[str] = []
    lock = threading.Lock()

    def job(name: str, seconds: float) -> str:
        time.sleep(seconds)
        with lock:
            seen.append(name)
        return name.upper()

    seconds = {"a": 0.4, "b": 0.05, "c": 0.05, "d": 0.0}
    jobs = {name: (lambda n=name, s=s: job(n, s)) for name, s in seconds.items()}
    found = as_needed(jobs, {"c": ["b"], "d": ["a", "c", "not selected"]}, [{}, {}])
    assert seen == ["b", "c", "a", "d"]
    assert found == {"a": "A", "b": "B", "c": "C", "d": "D"}
    with pytest.raises(ValueError, match="jobs that need each other: a, b"):
        as_needed({"a": list, "b": list}, {"a": ["b"], "b": ["a"]}, [{}, {}])


def test_hours_side_by_side_are_those_of_the_longest_chain(settings: Settings) -> None:
    both = dataclasses.replace(settings, devices=8)
    measured = dict.fromkeys(KITTI, Measured(3.6, 0, "measured"))  # 1,000 steps an hour
    rows = [plan_row(stage, both, measured, KITTI) for stage in KITTI]
    assert sum(row.hours or 0 for row in rows) == pytest.approx(1450 + 1300 + 4)
    # DWARF: 1,200 h, then gt, px, gt_px, final_px and final_gt on two places; DDFlow's chain of 1,300 h beside it.
    assert elapsed(rows, both) == pytest.approx(1450, abs=150)
    assert elapsed(rows, both) >= 1304
    one = dataclasses.replace(settings, devices=4)
    assert elapsed(rows, one) == pytest.approx(1450 + 1300 + 4)
