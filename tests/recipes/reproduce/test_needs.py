"""The report of missing data lists what is missing, from which archive, and which stages can still run."""

import shutil
from pathlib import Path

import pytest

from flowdistill.errors import UserError
from flowdistill.recipes.reproduce.needs import check_data, missing, screen
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import ORDER, choose

KITTI = choose([], "kitti")


def test_nothing_is_missing_where_all_is(settings: Settings) -> None:
    assert screen(settings, KITTI) is None
    assert screen(settings, ORDER["sintel"], "sintel") is None


def test_one_archive_that_is_missing_is_named(settings: Settings) -> None:
    for path in settings.root("kitti").rglob("*_00.png"):
        path.unlink()
    text = screen(settings, KITTI)
    assert text is not None
    assert "data_scene_flow_multiview.zip: contains training/image_2/000000_00.png and 1 more places" in text
    assert "data_scene_flow.zip" not in text
    assert "FlyingThings3D" not in text
    possible = next(line for line in text.splitlines() if line.startswith("With the existing data"))
    chairs = "chairs_photometric chairs_census chairs_labels chairs_student"
    assert possible == f'With the existing data: STAGES="pretrain gt {chairs} evaluate submit"'
    assert screen(settings, ["pretrain", "gt", "evaluate", "submit"]) is None


def test_without_things_what_needs_no_pretraining_can_run(settings: Settings) -> None:
    shutil.rmtree(settings.root("things"))
    text = screen(settings, KITTI)
    assert text is not None
    assert "FlyingThings3D, optical flow: contains optical_flow/TRAIN" in text
    assert "subset" in text
    chairs = "chairs_photometric chairs_census chairs_labels chairs_student"
    assert (
        f'STAGES="check labels {chairs} ddflow_census ddflow_labels ddflow_student evaluate submit"' in text
    )


def test_without_chairs_ddflow_can_start_on_its_target(settings: Settings) -> None:
    shutil.rmtree(settings.root("chairs"))
    text = screen(settings, KITTI)
    assert text is not None
    assert "FlyingChairs.zip: contains data/00001_img1.ppm and 3 more places" in text
    possible = text.partition('With the existing data: STAGES="')[2].partition('"')[0].split()
    assert [stage for stage in possible if stage.startswith(("chairs", "ddflow"))] == [
        "ddflow_photometric", "ddflow_census", "ddflow_labels", "ddflow_student",
    ]  # fmt: skip
    assert "the published networks started from FlyingChairs" in text
    assert screen(settings, possible) is None
    sintel = screen(settings, choose([], "sintel"), "sintel")
    assert sintel is not None
    expected = ("check", "photometric", "census", "labels", "student", "evaluate", "submit")
    assert f'STAGES="{" ".join(f"sintel_{stage}" for stage in expected)}"' in sintel


def test_chairs_may_be_in_the_folder_of_their_archive(settings: Settings) -> None:
    folder = settings.root("chairs")
    (folder / "data").rename(settings.data_root / "data")
    shutil.rmtree(folder)
    (settings.data_root / "FlyingChairs_release").mkdir()
    (settings.data_root / "data").rename(settings.data_root / "FlyingChairs_release" / "data")
    assert screen(settings, KITTI) is None


def test_things_may_have_their_pictures_as_webp(settings: Settings) -> None:
    folder = settings.root("things") / "frames_cleanpass"
    folder.rename(settings.root("things") / "frames_cleanpass_webp")
    assert screen(settings, ["pretrain"]) is None
    shutil.rmtree(settings.root("things") / "frames_cleanpass_webp/TEST")
    text = screen(settings, ["pretrain"])
    assert text is not None
    assert "RGB images (cleanpass): contains frames_cleanpass/TEST" in text


def test_the_subset_will_do(settings: Settings) -> None:
    shutil.rmtree(settings.root("things"))
    (settings.data_root / "FlyingThings3D_subset").mkdir()
    assert settings.config("things") == "configs/data/things_subset.yaml"
    found = missing(settings, ["pretrain"])
    assert list(found) == ["things_subset"]
    for path, archive in found["things_subset"]:
        assert "subset" in archive
        path.mkdir(parents=True)
    assert screen(settings, ["pretrain"]) is None


def test_an_empty_root_is_one_screen_and_nothing_is_made(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "no", tmp_path / "runs")
    with pytest.raises(UserError, match="SMOKE=1") as error:
        check_data(settings, KITTI)
    assert len(str(error.value).splitlines()) < 28
    assert not any(tmp_path.iterdir())
