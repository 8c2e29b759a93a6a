"""The data check: clean trees have no problems, and one injected fault of each kind is found, and nothing else."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from check_faults import (
    LAYOUTS,
    Fault,
    all_unknown,
    check,
    cut_off,
    data_module,
    far_away,
    found,
    narrower,
    negated,
    not_finite,
    other_kind,
    remove,
    rewrite,
)

from flowdistill.check.examine import examine_file
from flowdistill.check.plan import plan_check
from flowdistill.data import MotionDataset, Source, View
from flowdistill.data.datasets import dataset_class, open_dataset
from flowdistill.data.files import FLO, KITTI_FLOW, SampleFile
from flowdistill.errors import UserError
from flowdistill.formats import read_flo, write_flo, write_kitti_flow
from flowdistill.render.writer import Request, write_dataset

TEXT = ("intrinsics",)
MOTION = ("flow", "disparity", "disparity_change")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    for layout in LAYOUTS:
        # With this seed every scene moves towards or away from the cameras enough to be detected with 64 columns.
        write_dataset(folder / layout, layout, Request(seed=3, scenes=2, frames=3, size=(48, 64)))
    return folder


@pytest.fixture
def tree(originals: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    layout: str = request.node.callspec.params["layout"]
    shutil.copytree(originals / layout, tmp_path / layout)
    return tmp_path / layout


def datasets(layout: str, root: Path) -> list[MotionDataset]:
    return [open_dataset(layout, str(root), "scan", view, True) for view in dataset_class(layout).views]


def files_of(layout: str, root: Path) -> dict[str, tuple[SampleFile, set[str]]]:
    """Every file of the tree that a view reads -> its description, and the samples that it belongs to."""
    files: dict[str, tuple[SampleFile, set[str]]] = {}
    for dataset in datasets(layout, root):
        for index, entry in enumerate(dataset.entries):
            for file in dataset.files(index):
                files.setdefault(file.path, (file, set()))[1].add(entry.name)
    return files


def one_of_each(layout: str, root: Path, quantities: tuple[str, ...] = ()) -> list[SampleFile]:
    """A file for each key of the layout, not always of the first sample."""
    chosen: dict[str, SampleFile] = {}
    for file, _ in files_of(layout, root).values():
        if not quantities or file.kind.quantity in quantities:
            chosen[file.key] = file
    return list(chosen.values())


def expect(layout: str, root: Path, file: SampleFile, fault: Fault, kind: str, fast: bool = False) -> None:
    """Inject a fault, compare the findings with the samples that use the file, and restore it."""
    path = Path(file.path)
    _, samples = files_of(layout, root)[file.path]
    assert samples
    before = path.read_bytes()
    module = data_module(layout, root)  # before the fault: a scan must not lose the sample
    fault(path, file.kind.title)
    assert not path.is_file() or path.read_bytes() != before
    try:
        assert found(check(module, fast)) == {(sample, file.path, kind) for sample in samples}
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_clean_tree_has_no_problem_and_every_file_is_looked_at(
    originals: Path, layout: str, fast: bool
) -> None:
    module = data_module(layout, originals / layout)
    assert check(module, fast) == []
    looked_at = [file.path for job in plan_check(module).jobs for file in job.files]
    assert set(looked_at) == set(files_of(layout, originals / layout))
    assert Counter(looked_at).most_common(1)[0][1] == 1


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_missing_and_damaged_files_are_found(tree: Path, layout: str, fast: bool) -> None:
    for file in one_of_each(layout, tree):
        joins = layout == "things_subset" and file.key in ("flow", "flow_backward")
        expect_kept = joins or file.key in ("left_t0", "left_t1")
        if not expect_kept:  # without these a scan finds no sample; the next test has a split file
            expect(layout, tree, file, remove, "missing", fast)
        expect(layout, tree, file, other_kind, "unreadable", fast)
        if file.key not in TEXT:
            expect(layout, tree, file, cut_off, "unreadable", fast)
            expect(layout, tree, file, narrower, "size_mismatch", fast)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_missing_picture_of_a_split_is_found(tree: Path, tmp_path: Path, layout: str) -> None:
    (dataset, *_) = datasets(layout, tree)
    entry = dataset.entries[0]
    split = tmp_path / "split.txt"
    split.write_text(f"{entry.line}\n")
    gone = dataset.files(0)[0].path
    Path(gone).unlink()
    module = data_module(layout, tree, flow=View(train_split=str(split)), scene_flow=None)
    assert found(check(module)) == {(entry.name, gone, "missing")}


@pytest.mark.parametrize("layout", ["things", "things_subset", "chairs", "sintel"])
def test_values_that_are_not_finite_are_found(tree: Path, layout: str) -> None:
    for file in one_of_each(layout, tree, MOTION):
        expect(layout, tree, file, not_finite, "non_finite")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_out_of_range_are_found(tree: Path, layout: str) -> None:
    for file in one_of_each(layout, tree, MOTION):
        expect(layout, tree, file, far_away, "out_of_range")


@pytest.mark.parametrize("layout", ["things", "things_subset"])
def test_wrong_signs_are_found_by_the_layout_and_by_the_pictures(tree: Path, layout: str) -> None:
    turned = 0
    for file, _ in files_of(layout, tree).values():
        if file.kind.quantity in ("disparity", "disparity_change"):
            expect(layout, tree, file, negated, "wrong_sign")
            turned += 1
    assert turned == 8  # two scenes of two pairs, a disparity and a change each


@pytest.mark.parametrize("layout", LAYOUTS)
def test_empty_labels_are_found(tree: Path, layout: str) -> None:
    for file in one_of_each(layout, tree, MOTION):
        if file.kind.quantity == "flow" or "KITTI" in file.kind.title:
            expect(layout, tree, file, all_unknown, "empty_label")


def test_a_mask_that_leaves_nothing_is_an_empty_label(originals: Path, tmp_path: Path) -> None:
    root = tmp_path / "sintel"
    shutil.copytree(originals / "sintel", root)
    (file,) = (file for file in one_of_each("sintel", root) if file.key == "valid_flow")
    rewrite(Path(file.path), file.kind.title, np.ones_like)
    problems = check(data_module("sintel", root))
    assert {problem.kind for problem in problems} == {"empty_label"}
    assert {problem.sample.partition("/")[0] for problem in problems} == {"clean", "final"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_wrong_line_is_found_and_the_others_are_looked_at(
    tree: Path, tmp_path: Path, layout: str
) -> None:
    (dataset, *_) = datasets(layout, tree)
    first, second = dataset.entries[0], dataset.entries[1]
    split = tmp_path / "split.txt"
    wrong = ["nonsense/1", f"{first.line} camera=up", f"{second.line}", f"{first.line} colour=red"]
    split.write_text("\n".join(["# mine", first.line, second.line, *wrong]) + "\n")
    module = data_module(layout, tree, flow=View(val_split=str(split)), scene_flow=None)
    assert found(check(module)) == {(line, str(split), "bad_split_line") for line in wrong}
    said = [problem.detail for problem in check(module)]
    assert [f"line {number}: " in text for number, text in zip(range(4, 8), said, strict=True)] == [True] * 4
    (file, *_) = (file for file in dataset.files(1) if file.key == "flow")
    other_kind(Path(file.path), "")
    assert (second.name, file.path, "unreadable") in found(check(module))


@pytest.mark.parametrize("layout", ["kitti2015"])
def test_a_camera_without_labels_is_a_wrong_line(tree: Path, tmp_path: Path, layout: str) -> None:
    split = tmp_path / "split.txt"
    split.write_text("000000_00\n000000_00 camera=right\n")
    line = ("000000_00 camera=right", str(split), "bad_split_line")
    for view in ("flow", "scene_flow"):
        other = {"flow": "scene_flow", "scene_flow": "flow"}[view]
        module = data_module(layout, tree, **{view: View(val_split=str(split)), other: None})
        assert found(check(module)) == {line}
    module = data_module(layout, tree, flow=View(train_split=str(split)), scene_flow=None)
    assert check(module) == []  # training on flow reads no labels


@pytest.mark.parametrize("layout", ["kitti2015"])
def test_training_on_flow_misses_labels_only_where_most_are_there(tree: Path, layout: str) -> None:
    def problems() -> set[tuple[str, str, str]]:
        return found(check(data_module(layout, tree, flow=View(train_split="scan"), scene_flow=None)))

    names = [tree / "training" / "flow_occ" / f"{id_}.png" for id_ in ("000000_00", "000000_01", "000001_00")]
    names[0].unlink()
    assert problems() == {("000000_00", str(names[0]), "missing")}
    other_kind(names[1], "")
    assert problems() == {
        ("000000_00", str(names[0]), "missing"),
        ("000000_01", str(names[1]), "unreadable"),
    }
    names[2].unlink()  # half of four: as in KITTI's multi-view frames, which have none
    assert problems() == {("000000_01", str(names[1]), "unreadable")}


def test_sources_of_a_mixture_are_looked_at(originals: Path, tmp_path: Path) -> None:
    root = tmp_path / "things"
    shutil.copytree(originals / "things", root)
    (file, *_) = (file for file in one_of_each("things", root) if file.key == "flow")
    other_kind(Path(file.path), "")
    sources = [Source("scan", weight=10), Source("scan", dataset="things", root=str(root))]
    module = data_module("sintel", originals / "sintel", flow=View(train_sources=sources))
    (problem,) = check(module)
    assert (problem.file, problem.kind, problem.dataset) == (file.path, "unreadable", "things")


def test_unknown_is_a_number_in_flo_and_never_nan(tmp_path: Path) -> None:
    path = tmp_path / "flow.flo"
    write_flo(path, np.ones((4, 6, 2)))
    assert examine_file(SampleFile("flow", str(path), FLO)).findings == ()
    flow = read_flo(path)
    flow[0, 0] = 1.666667e9
    write_flo(path, flow)
    assert examine_file(SampleFile("flow", str(path), FLO)).findings == ()
    flow[0, 0] = np.nan
    write_flo(path, flow)
    (finding,) = examine_file(SampleFile("flow", str(path), FLO)).findings
    assert (finding.kind, finding.detail) == ("non_finite", "1 of 24 pixels are NaN or infinite")
    # 4 widths are plausible, slightly more is not.
    flow[0, 0] = 24, 0
    write_flo(path, flow)
    assert examine_file(SampleFile("flow", str(path), FLO)).findings == ()
    flow[0, 0] = 24, 1
    write_flo(path, flow)
    (finding,) = examine_file(SampleFile("flow", str(path), FLO)).findings
    assert finding.kind == "out_of_range"


def test_one_valid_pixel_is_no_empty_label(tmp_path: Path) -> None:
    path = tmp_path / "flow.png"
    flow = np.full((4, 6, 2), np.nan)
    flow[1, 1] = 1
    write_kitti_flow(path, flow)
    assert examine_file(SampleFile("flow", str(path), KITTI_FLOW)).findings == ()


@pytest.mark.parametrize("layout", ["kitti2015"])
def test_what_is_excluded_is_not_looked_at_and_not_read(tree: Path, tmp_path: Path, layout: str) -> None:
    (tree / "training" / "flow_occ" / "000001_00.png").unlink()
    with pytest.raises(UserError, match="1 of 8 label files"):
        open_dataset(layout, str(tree), "scan", "flow", True)
    exclude = tmp_path / "exclude.txt"
    exclude.write_text("# found\n000001_00\n")
    dataset = open_dataset(layout, str(tree), "scan", "flow", True, exclude=str(exclude))
    assert [entry.id for entry in dataset.entries] == ["000000_00", "000000_01", "000001_01"]
    assert check(data_module(layout, tree, exclude=str(exclude))) == []
    exclude.write_text("# nothing\n")
    assert {problem.kind for problem in check(data_module(layout, tree, exclude=str(exclude)))} == {"missing"}
    exclude.write_text("000001_00\nframe 7\n")
    with pytest.raises(UserError, match=r"exclude\.txt, line 2: "):
        check(data_module(layout, tree, exclude=str(exclude)))
    exclude.write_text("".join(f"00000{scene}_0{frame}\n" for scene in (0, 1) for frame in (0, 1)))
    with pytest.raises(UserError, match=r"has 4 samples, and .*exclude\.txt excludes all of them"):
        check(data_module(layout, tree, exclude=str(exclude)))
