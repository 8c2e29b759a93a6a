"""Suggestions of similarly named folders, and of options whose folder exists."""

from pathlib import Path

import pytest

from flowdistill.data.datasets import dataset_class, open_dataset
from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError


def said(dataset: str, root: Path, **options: str) -> str:
    with pytest.raises(UserError) as caught:
        open_dataset(dataset, str(root), "scan", "flow", False, options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "there", "meant", "name"),
    [
        ("things", "frames_cleanpass_png/TRAIN", "frames_cleanpass_png", "frames_cleanpass"),
        ("things", "Frames_cleanpass/TRAIN", "Frames_cleanpass", "frames_cleanpass"),
        ("things", "frames_cleanpass/train", "frames_cleanpass/train", "TRAIN"),
        ("things", "cleanpass/TRAIN", "cleanpass", "frames_cleanpass"),
        ("things_subset", "train/images_clean", "train/images_clean", "image_clean"),
        ("kitti2015", "training/image_02", "training/image_02", "image_2"),
        ("kitti2015", "Training/image_2", "Training", "training"),
        ("kitti2012", "training/colored_00", "training/colored_00", "colored_0"),
        ("sintel", "training/Clean", "training/Clean", "clean"),
    ],
)
def test_a_folder_that_is_called_a_little_differently(
    tmp_path: Path, dataset: str, there: str, meant: str, name: str
) -> None:
    (tmp_path / there).mkdir(parents=True)
    right = (tmp_path / meant).with_name(name)
    question = f"did you mean {tmp_path / meant}? Rename it to {name}, or `ln -s {Path(meant).name} {right}`"
    assert question in said(dataset, tmp_path)
    right.symlink_to(Path(meant).name)  # and that is enough
    chosen = dataset_class(dataset).chosen_options({})
    assert dataset_class(dataset).find_root(tmp_path, chosen) == str(tmp_path)


def test_two_differences_and_a_folder_below(tmp_path: Path) -> None:
    (tmp_path / "kitti/Training/image_02").mkdir(parents=True)
    text = said("kitti2015", tmp_path)
    assert (
        f"did you mean {tmp_path}/kitti/Training/image_02? It must be named {tmp_path}/kitti/training/image_2"
        in text
    )
    assert f"with {tmp_path / 'kitti'} as data folder" in text


@pytest.mark.parametrize("inner", ["a/training/image_2", "a/b/training/image_2", "training/training/image_2"])
def test_the_data_folder_one_or_two_levels_down(tmp_path: Path, inner: str) -> None:
    (tmp_path / inner).mkdir(parents=True)
    assert f"did you mean {(tmp_path / inner).parents[1]}?" in said("kitti2015", tmp_path)


@pytest.mark.parametrize("there", ["training/image_0", "test/clean", "photos", "training/images"])
def test_what_is_too_far_away_is_not_meant(tmp_path: Path, there: str) -> None:
    (tmp_path / there).mkdir(parents=True)
    assert "did you mean" not in said("kitti2015", tmp_path)


@pytest.mark.parametrize(
    ("dataset", "there", "option", "value"),
    [
        ("kitti2012", "training/image_0", "images", "image"),
        ("things", "frames_finalpass/TRAIN", "render_pass", "final"),
        ("kitti2015", "testing/image_2", "part", "testing"),
    ],
)
def test_another_value_of_an_option_is_there(
    tmp_path: Path, dataset: str, there: str, option: str, value: str
) -> None:
    (tmp_path / there).mkdir(parents=True)
    text = said(dataset, tmp_path)
    assert f"{tmp_path / there} exists: select it with `options: {{{option}: {value}}}`" in text
    assert f"--data.init_args.options.{option} {value}" in text
    assert "select it" not in said(dataset, tmp_path, **{option: value})


def test_a_folder_of_labels_that_is_called_a_little_differently(tmp_path: Path) -> None:
    for name in ("image_2/000000_00.png", "image_2/000000_01.png", "flow_Occ/000000_00.png"):
        (tmp_path / "training" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "training" / name).touch()
    with pytest.raises(UserError, match=r"did you mean .*training/flow_Occ\? Rename it to flow_occ"):
        dataset_class("kitti2015")(tmp_path, [SplitEntry("000000_00")], "flow", labels=True)


def things(root: Path) -> Path:
    for camera in ("left", "right"):
        for frame in range(6, 16):
            path = root / f"frames_cleanpass/TRAIN/A/0000/{camera}/{frame:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def test_advice_for_a_lost_frame_is_the_exclusion_list_and_not_the_scan(tmp_path: Path) -> None:
    root = things(tmp_path / "data")
    (root / "frames_cleanpass/TRAIN/A/0000/left/0009.png").unlink()
    text = said("things", root)
    assert "1 of 10 images" in text
    assert "--exclude-to FILE" in text
    assert "--data.init_args.exclude FILE" in text
    assert "scan" not in text
    split = tmp_path / "split.txt"
    split.write_text("".join(f"TRAIN/A/0000/{frame:04d}\n" for frame in range(6, 15)))
    with pytest.raises(UserError, match="`scan` uses every pair of frames"):
        open_dataset("things", str(root), str(split), "flow", False)


def test_where_most_is_missing_no_list_of_exclusions_helps(tmp_path: Path) -> None:
    root = things(tmp_path)
    for frame in range(7, 15):
        (root / f"frames_cleanpass/TRAIN/A/0000/left/{frame:04d}.png").unlink()
    assert "--exclude-to" not in said("things", root)
