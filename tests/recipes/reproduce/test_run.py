"""Stages run once, in order; interrupted ones resume; a stage's inputs determine whether it is the same."""

import dataclasses
import itertools
import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from stand_in import Commands

from flowdistill.errors import UserError
from flowdistill.recipes.commands import last_checkpoint
from flowdistill.recipes.reproduce.run import reproduce
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import TRAININGS, choose
from flowdistill.tracking import read_card

ORDER = choose([], "kitti")
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
        "fit chairs_photometric": None,
        "fit chairs_census": "chairs_photometric",
        "fit chairs_student": "chairs_census",
        "fit ddflow_census": "chairs_student",
        "fit ddflow_student": "ddflow_census",
    }
    scored = [name.split()[1] for name in names if name.startswith("predict")]
    assert scored == [name for name in FITS if not name.startswith(("final", "chairs"))]
    # Six parts of 1,000 pairs of KITTI, and 22,232 pairs of FlyingChairs in 23, before the student that reads them.
    assert names.count("label ddflow_labels") == 6
    assert names.count("label chairs_labels") == 23
    assert (
        names.index("fit chairs_census")
        < names.index("label chairs_labels")
        < names.index("fit chairs_student")
    )
    student = dict(itertools.pairwise(ran.calls[names.index("fit ddflow_student")]))
    assert Path(student["--data.init_args.flow.train_split"]).read_text().count(" labels=labels\n") == 6000
    assert Path(student["--data.init_args.root"], "training").samefile(settings.root("kitti") / "training")
    assert [name for name in names if name.startswith("submit")] == ["submit kitti2015"] * 2
    table = json.loads((settings.output / "table.json").read_text())
    assert table["gt"] == {"D1": 12.5, "Fl": 12.5, "EPE": 1.5, "EPE, images": 1.75, "bad-3, images": 25.0}
    assert (
        "| DWARF, Gt | FlyingThings3D | kitti_40 | 12.50 | - | 12.50 | - | 1.50 | - | 1.75 | 25.00 |"
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
    assert cards["evaluate"].metrics["gt/D1"] == 12.5
    last = last_checkpoint(settings.folder("final_gt"))
    assert last is not None
    digest = sha256(last.read_bytes()).hexdigest()
    assert (
        cards["final_gt"].weights["last"]["sha256"] == cards["submit"].inputs["final_gt"]["sha256"] == digest
    )
    assert cards["labels"].splits["labelled"]["entries"] == 4000
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
    with pytest.raises(UserError, match=r"last\.ckpt has changed"):
        reproduce(other, ["gt"])


@pytest.mark.parametrize("stage", ["gt", "final_gt", "ddflow_student"])
def test_a_stage_never_starts_from_random_weights_instead(
    ran: Commands, settings: Settings, stage: str
) -> None:
    reproduce(settings, ORDER)
    (start,) = TRAININGS[stage].starts
    shutil.rmtree(settings.folder(stage))
    (settings.folder(start) / "version_0" / "checkpoints" / "last.ckpt").unlink()
    ran.calls.clear()
    with pytest.raises(UserError, match=f"{stage} needs {start}"):
        reproduce(settings, [stage])
    assert not ran.calls


def test_a_moved_output_is_the_same(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ["pretrain", "gt"])
    moved = dataclasses.replace(settings, output=settings.output.with_name("moved"))
    settings.output.rename(moved.output)
    ran.calls.clear()
    reproduce(moved, ["pretrain", "gt", "labels", "px"])
    assert ran.named() == ["labels make", "fit px"]
    assert start_of(ran.calls[-1]) == "pretrain"
    assert "moved" in " ".join(ran.calls[-1])


def test_other_devices_do_not_make_another_training(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ["pretrain"])
    ran.calls.clear()
    reproduce(dataclasses.replace(settings, devices=2), ["pretrain", "gt"])
    assert ran.named() == ["fit gt"]
    values = dict(itertools.pairwise(ran.calls[0]))
    assert (values["--trainer.devices"], values["--data.init_args.batch_size"]) == ("2", "4")


def test_labels_of_ones_own_will_do_and_labels_that_are_gone_are_missed(
    ran: Commands, settings: Settings
) -> None:
    own = settings.root("kitti") / "proxy"
    for motion in ("flow", "disp_0", "disp_1"):
        (own / "left" / motion).mkdir(parents=True)
        for id_ in ("000000_00", "000199_19"):
            (own / "left" / motion / f"{id_}.png").touch()
    reproduce(settings, ["pretrain", "px"])
    assert ran.named() == ["fit pretrain", "fit px"]
    shutil.rmtree(own)
    with pytest.raises(UserError, match=r"final_px needs labels, which is not done: .*labels of your own"):
        reproduce(settings, ["final_px"])


def test_other_labels_are_another_training(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ["pretrain", "labels", "px", "gt"])
    (settings.root("kitti") / "proxy" / "labels.yaml").write_text("keep: 0.9")
    with pytest.raises(UserError, match=r"labels\.yaml has changed"):
        reproduce(settings, ["px"])
    reproduce(settings, ["gt"])


def test_the_table_shows_no_network_that_is_gone(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ["pretrain", "gt", "evaluate"])
    assert set(json.loads((settings.output / "table.json").read_text())) == {"pretrain", "gt"}
    shutil.rmtree(settings.folder("gt"))
    other = dataclasses.replace(settings, seed=7)
    reproduce(other, ["gt"])
    assert set(json.loads((settings.output / "table.json").read_text())) == {"pretrain"}
    reproduce(other, ["evaluate"])
    assert set(json.loads((settings.output / "table.json").read_text())) == {"pretrain", "gt"}


def test_a_run_killed_before_its_card_gets_one_with_its_weights(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ["pretrain"])
    folder = settings.folder("pretrain")
    (folder / "done.json").unlink()
    (folder / "version_0" / "run_card.json").unlink()
    ran.cards = False
    reproduce(settings, ["pretrain"])
    card = read_card(settings.output / "cards" / "pretrain")
    last = last_checkpoint(folder)
    assert last is not None
    assert card.weights["last"]["sha256"] == sha256(last.read_bytes()).hexdigest()
    assert card.reason is not None
    assert "killed" in card.reason


@pytest.mark.parametrize("mark", ["pretrain/done.json", "check/done.json", "evaluate/gt/result.json"])
def test_a_damaged_mark_is_named(ran: Commands, settings: Settings, mark: str) -> None:
    reproduce(settings, ORDER)
    (settings.output / mark).write_text("{")
    with pytest.raises(UserError, match=f"{mark} is damaged .* delete it"):
        reproduce(settings, ORDER)


def test_an_output_that_cannot_be_is_said(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"OUTPUT=.*file/runs"):
        reproduce(dataclasses.replace(settings, output=tmp_path / "file" / "runs"), ["pretrain"])


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
    warning = {"kind": "wrong_content", "severity": "warning"}
    ran.problems = [{"kind": "non_finite", "severity": "error"}, warning]
    with pytest.raises(UserError, match=r"kitti2015 have 1 problems, listed in .*kitti.json;"):
        reproduce(settings, ["check"])
    ran.problems = [warning]  # which may be a false positive
    reproduce(settings, ["check"])
    assert len(ran.calls) == 1 + 3  # KITTI alone, then all three


def test_the_batch_is_shared_among_devices(tmp_path: Path) -> None:
    assert Settings(tmp_path, tmp_path).samples_of_a_device == 4
    assert Settings(tmp_path, tmp_path, devices=2, nodes=2).samples_of_a_device == 1
    for devices, nodes in ((3, 2), (8, 2), (0, 1), (1, 0)):
        with pytest.raises(UserError, match="batch of 4 is shared"):
            Settings(tmp_path, tmp_path, devices=devices, nodes=nodes)
    with pytest.raises(UserError, match="batch of 4 is shared"):
        Settings(tmp_path, tmp_path, devices=3, devices_each=3)
    with pytest.raises(UserError, match="DEVICES=3 is not a multiple of DEVICES_EACH=2"):
        Settings(tmp_path, tmp_path, devices=3, devices_each=2)


def test_gpus_that_are_not_there_are_missed_before_the_first_stage(
    ran: Commands, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match="DEVICES=2, but this machine has 1 GPUs"):
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
        mark.write_bytes(done)

    reproduce(both, ["check", "pretrain"])
    first = ran.calls[-1]
    mark = settings.folder("pretrain") / "done.json"
    done = mark.read_bytes()
    mark.unlink()
    begun = settings.folder("pretrain") / ".begun"
    assert not begun.exists()
    begun.touch()  # the first machine trains again
    monkeypatch.setenv("NODE_RANK", "1")
    monkeypatch.setattr("flowdistill.recipes.reproduce.nodes.fit_or_resume", join)
    ran.calls.clear()
    reproduce(both, ["check", "pretrain", "evaluate"])
    assert second == first[1 : len(second) + 1]
    assert "--trainer.num_nodes" in second
    assert not ran.calls
