"""DDFlow from FlyingChairs to its target, or without; Sintel's stages; labels of the teacher."""

import itertools
import json
import shutil
from pathlib import Path

import pytest
from stand_in import Commands

from flowdistill.errors import UserError
from flowdistill.recipes.reproduce.plan import plan_row
from flowdistill.recipes.reproduce.run import reproduce
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import choose
from flowdistill.recipes.reproduce.teacher_labels import PART
from flowdistill.tracking import read_card

CHAIRS = ["chairs_photometric", "chairs_census", "chairs_labels", "chairs_student"]
SINTEL = [
    "sintel_check",
    *CHAIRS,
    "sintel_census",
    "sintel_labels",
    "sintel_student",
    "sintel_evaluate",
    "sintel_submit",
]
KITTI_ALONE = ["ddflow_photometric", "ddflow_census", "ddflow_labels", "ddflow_student", "evaluate"]


def start_of(call: list[str]) -> str | None:
    values = dict(itertools.pairwise(call))
    start = values.get("--model.init_args.init_from")
    return None if start is None else Path(start).parts[-4]


def test_sintel_from_chairs_to_the_submission(ran: Commands, settings: Settings) -> None:
    stages = choose([], "sintel")
    assert stages == SINTEL
    reproduce(settings, stages, "sintel")
    starts = {Path(dict(itertools.pairwise(call))["--trainer.logger.init_args.name"]).name: start_of(call)
              for call in ran.calls if call[0] == "fit"}  # fmt: skip
    assert starts == {
        "chairs_photometric": None,
        "chairs_census": "chairs_photometric",
        "chairs_student": "chairs_census",
        "sintel_census": "chairs_student",
        "sintel_student": "sintel_census",
    }
    names = ran.named()
    assert names.count("label sintel_labels") == -(-2082 // PART)
    assert names[-6:] == [
        "fit sintel_student", "predict sintel_census", "evaluate sintel", "predict sintel_student", "evaluate sintel",
        "submit sintel",
    ]  # fmt: skip
    predict = dict(itertools.pairwise(ran.calls[-3]))
    assert predict["--prediction.layout"] == "sintel"
    assert predict["--data.init_args.flow.predict_split"] == "data_splits/sintel_all.txt"
    assert predict["--data.init_args.root"] == str(settings.root("sintel"))
    table = json.loads((settings.output / "table_sintel.json").read_text())
    assert table == {"sintel_census": {"clean all": 2.5}, "sintel_student": {"clean all": 2.5}}
    row = "| DDFlow, Sintel, stage 3 (student) | FlyingChairs | sintel_all | 2.50 | - | - | - | - | - |"
    assert row in (settings.output / "table_sintel.md").read_text()
    assert {path.parent.name for path in settings.output.glob("cards/*/run_card.json")} == set(SINTEL)
    assert read_card(settings.output / "cards" / "sintel_labels").splits["labelled"]["entries"] == 2082
    before = len(ran.calls)
    reproduce(settings, stages, "sintel")
    assert len(ran.calls) == before


def test_both_reproductions_share_chairs_in_one_output(ran: Commands, settings: Settings) -> None:
    reproduce(settings, [*CHAIRS, "ddflow_census"])
    ran.calls.clear()
    reproduce(settings, choose([], "sintel"), "sintel")
    assert not [name for name in ran.named() if "chairs" in name]


def test_without_chairs_the_target_has_its_own_first_stage_and_the_table_says_so(
    ran: Commands, settings: Settings
) -> None:
    reproduce(settings, KITTI_ALONE)
    starts = [start_of(call) for call in ran.calls if call[0] == "fit"]
    assert starts == [None, "ddflow_photometric", "ddflow_census"]
    table = (settings.output / "table.md").read_text()
    for stage in ("stage 1", "stage 2 (teacher)", "stage 3 (student)"):
        assert f"| DDFlow, KITTI, {stage} | KITTI, without FlyingChairs | kitti_200 | 12.50 |" in table
    # Later, with FlyingChairs trained, the finished stage 2 keeps its start.
    ran.calls.clear()
    reproduce(settings, [*CHAIRS, "evaluate"])
    reproduce(settings, ["ddflow_student", "evaluate"])
    assert "KITTI, without FlyingChairs | kitti_200" in (settings.output / "table.md").read_text()
    assert plan_row("ddflow_census", settings, {}).start == "last of ddflow_photometric"
    # Asking for another start is refused.
    with pytest.raises(UserError, match=r"last\.ckpt has changed"):
        reproduce(settings, [*CHAIRS, "ddflow_census"])


def test_a_stage_2_without_any_start_names_both(ran: Commands, settings: Settings) -> None:
    expected = (
        r'ddflow_census needs chairs_student, which is not done: STAGES="chairs_student ddflow_census"; or without '
        r'FlyingChairs, STAGES="ddflow_photometric ddflow_census"'
    )
    with pytest.raises(UserError, match=expected):
        reproduce(settings, ["ddflow_census"])
    assert not ran.calls


def test_a_student_needs_its_labels(ran: Commands, settings: Settings) -> None:
    with pytest.raises(UserError, match="chairs_student needs chairs_labels, which is not done"):
        reproduce(settings, ["chairs_photometric", "chairs_census", "chairs_student"])


def test_labels_are_made_in_parts_and_a_killed_stage_repeats_one(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ["ddflow_photometric", "ddflow_census"])
    ran.calls.clear()
    ran.fails_at = "ddflow_labels/parts/003000.txt"
    with pytest.raises(UserError, match="killed"):
        reproduce(settings, ["ddflow_labels"])
    assert len(ran.calls) == 4
    ran.fails_at = None
    ran.calls.clear()
    reproduce(settings, ["ddflow_labels"])
    splits = [dict(itertools.pairwise(call))["--data.init_args.flow.predict_split"] for call in ran.calls]
    assert [Path(split).stem for split in splits] == ["003000", "004000", "005000"]
    folder = settings.folder("ddflow_labels")
    lines = "".join(
        (folder / "parts" / f"{n:06d}.txt").read_text() for n in range(0, 6000, 1000)
    ).splitlines()
    published = Path("data_splits/kitti_multiview_ddflow.txt").read_text().splitlines()[2:]
    assert lines == published
    assert (folder / "split.txt").read_text().splitlines()[1:] == [
        f"{line} labels=labels" for line in published
    ]


def test_labels_of_another_teacher_are_made_again(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ["ddflow_photometric", "ddflow_census", "ddflow_labels", "ddflow_student"])
    shutil.rmtree(settings.folder("ddflow_census"))
    # Another run of stage 2, with other weights.
    shutil.rmtree(settings.folder("ddflow_photometric"))
    ran.calls.clear()
    ran.salt = "another"
    reproduce(settings, ["ddflow_photometric", "ddflow_census", "ddflow_labels"])
    assert ran.named().count("label ddflow_labels") == 6
    with pytest.raises(UserError, match=r"last\.ckpt has changed"):
        reproduce(settings, ["ddflow_student"])


def test_a_student_is_not_trained_on_the_labels_of_an_earlier_teacher(
    ran: Commands, settings: Settings
) -> None:
    reproduce(settings, ["ddflow_photometric", "ddflow_census", "ddflow_labels"])
    shutil.rmtree(settings.folder("ddflow_census"))
    ran.salt = "another"
    reproduce(settings, ["ddflow_census"])
    with pytest.raises(
        UserError, match='ddflow_student needs ddflow_labels, which is not done: STAGES="ddflow_labels'
    ):
        reproduce(settings, ["ddflow_student"])
    assert plan_row("ddflow_labels", settings, {}).state == "to do"
    reproduce(settings, ["ddflow_labels", "ddflow_student"])


def test_labels_that_were_deleted_are_all_made_again(ran: Commands, settings: Settings) -> None:
    reproduce(settings, ["ddflow_photometric", "ddflow_census", "ddflow_labels"])
    shutil.rmtree(settings.folder("ddflow_labels") / "data" / "labels")
    with pytest.raises(UserError, match="ddflow_student needs ddflow_labels"):
        reproduce(settings, ["ddflow_student"])
    ran.calls.clear()
    reproduce(settings, ["ddflow_labels"])
    assert ran.named() == ["label ddflow_labels"] * 6


def test_the_labels_leave_the_users_data_alone_and_follow_it(ran: Commands, settings: Settings) -> None:
    before = sorted(settings.data_root.rglob("*"))
    reproduce(settings, ["ddflow_photometric", "ddflow_census", "ddflow_labels"])
    assert sorted(settings.data_root.rglob("*")) == before
    root = settings.folder("ddflow_labels") / "data"
    assert {path.name for path in root.iterdir()} == {"training", "testing", "labels"}
    assert all(path.is_symlink() for path in root.iterdir() if path.name != "labels")
    moved = settings.data_root.with_name("elsewhere")
    settings.data_root.rename(moved)
    elsewhere = Settings(moved, settings.output, accelerator="cpu")
    reproduce(elsewhere, ["ddflow_labels"])
    assert (root / "training").samefile(moved / "kitti2015" / "training")
