"""The cold-start guard: a run whose occlusion check masks everything stops with advice."""

from pathlib import Path
from typing import Any

import pytest
import torch

from flowdistill.losses import Schedule
from flowdistill.training import DDFlowModule, OcclusionCollapseError
from flowdistill.training.guards import LEAST_VISIBLE, OcclusionCollapseGuard
from small_trainer import Recorder, flow_data, small_ddflow, trainer


def test_only_steps_in_a_row_count() -> None:
    guard = OcclusionCollapseGuard(3)
    for step, share in enumerate([0.0, 0.0, LEAST_VISIBLE, 0.0, 0.0009]):
        guard.look(share, step)
    with pytest.raises(
        OcclusionCollapseError, match=r"for 3 steps, up to step 5: the occlusion check masks 99.95 %"
    ):
        guard.look(0.0005, 5)


def blind(**options: Any) -> DDFlowModule:
    """Both flows are 40 px to the right, so that every pixel counts as occluded; nothing is learned."""
    defaults: dict[str, Any] = {"losses": {"census_occlusion": 1.0}, "learning_rate": 0.0}
    model = small_ddflow(**(defaults | options))
    with torch.no_grad():
        model.network.context[-1].bias += torch.tensor([10.0, 0.0])  # px of level 2, a quarter of the size
    return model


def test_a_blind_run_stops_with_advice(rendered: Path, tmp_path: Path) -> None:
    logged = Recorder()
    fit = trainer(tmp_path, 20, logger=logged, limit_val_batches=0)
    with pytest.raises(
        OcclusionCollapseError,
        match=r"for 4 steps, up to step 3.*init_from.*single_run\.yaml.*max_fully_occluded_steps",
    ):
        fit.fit(blind(max_fully_occluded_steps=4), flow_data(rendered))
    assert [step["train/occluded_share"] for step in logged.steps] == [1.0, 1.0, 1.0]
    assert [step["train/census_occlusion"] for step in logged.steps] == [0.0, 0.0, 0.0]


def test_terms_that_mask_nothing_are_not_stopped(rendered: Path, tmp_path: Path) -> None:
    """The same flows, with a term over all pixels; the masked term begins at step 4."""
    losses = {"census_no_occlusion": 1.0,
              "abs_robust_mean_occlusion": Schedule([(0, 0.0), (4, 1.0)], "step")}  # fmt: skip
    trainer(tmp_path, 6, limit_val_batches=0).fit(
        blind(losses=losses, max_fully_occluded_steps=3), flow_data(rendered)
    )
    with pytest.raises(OcclusionCollapseError, match=r"for 3 steps, up to step 6"):
        trainer(tmp_path, 8, limit_val_batches=0).fit(
            blind(losses=losses, max_fully_occluded_steps=3), flow_data(rendered)
        )
