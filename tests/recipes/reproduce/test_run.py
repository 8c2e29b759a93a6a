"""Stages are done once, in order; what was broken off goes on; what it is made from decides whether it is the same."""

import dataclasses
import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from stand_in import Commands

from flowdistill.errors import UserError
from flowdistill.recipes.reproduce.run import reproduce
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import ORDER, TRAININGS
from flowdistill.tracking import read_card

FITS = [name for name in ORDER if name in TRAININGS]


def start_of(call: list[str]) -> str | None:
    """The stage whose weights a fit starts from."""
    if "--model.init_args.init_from" not in call:
        return None
    return Path(call[call.index("--model.init_args.init_from") + 1]).parts[-4]


def test_all_stages_once_in_order_and_from_the_right_weights(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ORDER)
    names = ran.named()
    assert [name for name in names if name.startswith("fit")] == [f"fit {name}" for name in FITS]
    assert names[:2] == ["data check", "data check"]
    assert names.index("labels make") < names.index("fit px")
    starts = {name: start_of(call) for name, call in zip(names, ran.calls, strict=True) if call[0] == "fit"}
    assert starts == {
        "fit pretrain": None,
        "fit gt": "pretrain",
        "fit px": "pretrain",
        "fit gt_px": "pretrain",
        "fit final_px": "pretrain",
        "fit final_gt": "final_px",
        "fit ddflow_photometric": None,
        "fit ddflow_census": "ddflow_photometric",
        "fit ddflow_student": "ddflow_census",
    }
    scored = [name.split()[1] for name in names if name.startswith("predict")]
    assert scored == [name for name in FITS if not name.startswith("final")]
    assert [name for name in names if name.startswith("submit")] == ["submit kitti2015"] * 2
    table = json.loads((settings.output / "table.json").read_text())
    assert table["gt"] == {"D1": 12.5, "Fl": 12.5, "EPE": 1.5}
    assert (
        "| DWARF, Gt | kitti_40 | 12.50 | - | 12.50 | - | 1.50 | - |"
        in (settings.output / "table.md").read_text()
    )
    cards = {path.parent.name: read_card(path) for path in settings.output.glob("cards/*/run_card.json")}
    assert set(cards) == set(ORDER)
    assert all(card.name == stage for stage, card in cards.items())
    archive = settings.output / "submit" / "final_gt_sceneflow.zip"
    assert (
        cards["submit"].outputs["submit/final_gt_sceneflow.zip"]["sha256"]
        == sha256(archive.read_bytes()).hexdigest()
    )
    assert cards["evaluate"].metrics["gt/disp_0_occ"] == 12.5
    assert cards["labels"].metrics == {"flow/density": 50.0}
    before = len(ran.calls)
    reproduce(settings, ORDER)
    assert len(ran.calls) == before


@pytest.mark.parametrize("at", ["supervision/px.yaml", "labels", "kitti2015", "evaluate", "things"])
def test_what_was_broken_off_goes_on_and_the_rest_is_not_redone(
    ran: Commands, settings: Settings, at: str
) -> None:
    ran.fails_at = at
    with pytest.raises(UserError, match="killed"):
        reproduce(settings, ORDER)
    broken, done = ran.calls[-1], ran.named()[:-1]
    ran.calls.clear()
    ran.fails_at = None
    reproduce(settings, ORDER)
    again = ran.named()
    if broken[0] == "fit":
        resumed = ran.calls[0]
        assert resumed[: len(broken)] == broken
        assert resumed[len(broken) : len(broken) + 1] == ["--ckpt_path"]
        assert resumed[-1].endswith("version_0/checkpoints/last.ckpt")
        stage = Path(resumed[-1]).parts[-4]
        assert read_card(settings.output / "cards" / stage).seeds == {"version": 1}
    fits = [name for name in (*done, *again) if name.startswith("fit")]
    assert sorted(fits) == sorted(f"fit {name}" for name in FITS)
    assert not {name for name in again if name.startswith(("fit", "labels"))} & set(done)


def test_a_stage_whose_start_changed_is_refused(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ["pretrain", "gt"])
    shutil.rmtree(settings.folder("pretrain"))
    other = dataclasses.replace(settings, seed=5)
    reproduce(other, ["pretrain"])
    with pytest.raises(UserError, match=r"pretrain/version_0/checkpoints/last.ckpt has changed"):
        reproduce(other, ["gt"])


def test_a_stage_needs_what_it_starts_from(ran: Commands, settings: Settings) -> None:
    with pytest.raises(UserError, match="px needs labels"):
        reproduce(settings, ["px"])
    with pytest.raises(UserError, match='gt needs pretrain, which is not done: STAGES="pretrain gt"'):
        reproduce(settings, ["gt"])
    assert not ran.calls


def test_nothing_to_evaluate_or_submit_is_said(ran: Commands, settings: Settings) -> None:
    for stage in ("evaluate", "submit"):
        with pytest.raises(UserError, match=f"^{stage}: "):
            reproduce(settings, [stage])


def test_networks_that_come_later_are_scored_later(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ["pretrain", "evaluate"])
    ran.calls.clear()
    reproduce(settings, ["gt", "evaluate"])
    assert ran.named() == ["fit gt", "predict gt", "evaluate kitti"]


def test_the_check_lets_nan_of_things_pass_and_nothing_else(ran: Commands, settings: Settings) -> None:
    ran.problems = [{"kind": "non_finite"}]
    with pytest.raises(UserError, match=r"kitti2015 have 1 problems, which .*kitti.json lists"):
        reproduce(settings, ["check"])
    ran.problems = []
    reproduce(settings, ["check"])
    assert len(ran.calls) == 3


def test_the_batch_is_shared_among_devices(tmp_path: Path) -> None:
    assert Settings(tmp_path, tmp_path).batch_size == 4
    assert Settings(tmp_path, tmp_path, devices=2, nodes=2).batch_size == 1
    for devices, nodes in ((3, 1), (8, 1), (0, 1), (1, 0)):
        with pytest.raises(UserError, match="batch of 4 is shared"):
            Settings(tmp_path, tmp_path, devices=devices, nodes=nodes)


def test_gpus_that_are_not_there_are_missed_before_the_first_stage(
    ran: Commands, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match="DEVICES=2, and this machine has 1 GPUs"):
        reproduce(dataclasses.replace(settings, accelerator="gpu", devices=2), ORDER)
    assert not ran.calls


def test_other_machines_only_train(
    ran: Commands, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second machine of two joins each fit with the first one's arguments, and does nothing else."""
    both = dataclasses.replace(settings, nodes=2)
    with pytest.raises(UserError, match="NODE_RANK"):
        reproduce(both, ["pretrain"])
    monkeypatch.setenv("NODE_RANK", "0")
    monkeypatch.setattr("flowdistill.recipes.reproduce.nodes._POLL", 0.01)
    second: list[str] = []

    def join(folder: Path, arguments: list[str]) -> None:
        second.extend(arguments)
        (folder / "done.json").write_bytes(done)

    reproduce(both, ["check", "pretrain"])
    first = ran.calls[-1]
    mark = settings.folder("pretrain") / "done.json"
    done = mark.read_bytes()
    mark.unlink()
    monkeypatch.setenv("NODE_RANK", "1")
    monkeypatch.setattr("flowdistill.recipes.reproduce.nodes.fit_or_resume", join)
    ran.calls.clear()
    reproduce(both, ["check", "pretrain", "evaluate"])
    assert second == first[1 : len(second) + 1]
    assert "--trainer.num_nodes" in second
    assert not ran.calls
