"""Every fault introduced into a correct submission is reported, and nothing else."""

import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from submission_files import SCENES, SIZE, pack, read_png, tiny_kind, write_folder, write_png

import slow_sintel
from flowdistill.formats import read_flo
from flowdistill.submission.check import SubmissionReport, check_path
from flowdistill.submission.kinds import TASKS
from flowdistill.submission.members import Fault, open_members

KINDS = [(benchmark, task) for benchmark, tasks in TASKS.items() for task in tasks]


def named(report: SubmissionReport) -> list[tuple[str, str]]:
    return [(fault.file, fault.problem) for fault in report.faults]


@pytest.mark.parametrize(("benchmark", "task"), KINDS)
def test_a_correct_submission_has_no_faults(tmp_path: Path, benchmark: str, task: str) -> None:
    kind = tiny_kind(benchmark, task)
    folder = write_folder(tmp_path / "out", kind)
    paths = [folder, pack(folder, tmp_path / "out.zip")] if kind.zipped else [folder]
    for path in paths:
        report = check_path(path, kind)
        assert report.faults == []
        assert report.files == len(kind.files)
        if kind.zipped:
            pictures = [read_png(folder / name) for name in kind.files]
            share = np.mean([(codes if codes.ndim == 2 else codes[..., 2]) != 0 for codes in pictures])
            assert report.density == pytest.approx(share)
            assert 0.8 < report.density < 1
        else:
            assert report.density == 1


def edit(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda path: write_png(path, change(read_png(path)))


def clip_block(codes: np.ndarray) -> np.ndarray:
    codes = codes.copy()
    codes[3:8, 5:9] = 65535
    return codes


def without_offset(codes: np.ndarray) -> np.ndarray:
    """Two's complement of flow x 64: a frequent mistake."""
    codes = codes.copy()
    codes[..., :2] = codes[..., :2] - 32768
    return codes


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


# Change of one image -> problem.
PICTURES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("flow", Path.unlink, "is missing"),
    "8 bit": (
        "flow",
        edit(lambda codes: (codes // 256).astype(np.uint8)),
        "is a PNG of 8-bit RGB, not 16-bit RGB",
    ),
    "8-bit disparity": (
        "disp_0",
        edit(lambda codes: (codes // 256).astype(np.uint8)),
        "is a PNG of 8-bit grey, not 16-bit grey",
    ),
    "3 channels": ("disp_1", edit(lambda c: np.dstack([c] * 3)), "is a PNG of 16-bit RGB, not 16-bit grey"),
    "1 channel": ("flow", edit(lambda codes: codes[..., 0]), "is a PNG of 16-bit grey, not 16-bit RGB"),
    "4 channels": (
        "flow",
        edit(lambda codes: np.dstack([codes[..., ::-1], codes[..., :1]])[..., ::-1]),
        "is a PNG of 16-bit RGB + alpha, not 16-bit RGB",
    ),
    "a row less": ("flow", edit(lambda codes: codes[1:]), "does not have the test image's size, 24 x 40"),
    "padded": (
        "disp_0",
        edit(lambda codes: np.pad(codes, ((0, 0), (0, 24)), "edge")),
        "does not have the test image's size, 24 x 40",
    ),
    "turned": (
        "flow",
        edit(lambda codes: np.swapaxes(codes, 0, 1)),
        "does not have the test image's size, 24 x 40",
    ),
    "all invalid": ("flow", edit(lambda codes: codes * np.uint16((1, 1, 0))), "has no valid pixel"),
    "all invalid disparity": ("disp_1", edit(np.zeros_like), "has no valid pixel"),
    "blue first": ("flow", edit(lambda codes: codes[..., ::-1]), "has its channels in the reverse order"),
    "clipped": ("flow", edit(clip_block), "has values at the end of the format's range"),
    "clipped disparity": ("disp_0", edit(clip_block), "has values at the end of the format's range"),
    "no offset": ("flow", edit(without_offset), "holds flow without its offset of 32768"),
    "truncated": ("flow", cut, "is damaged"),
    "flipped bit": ("disp_0", flip_bit, "is damaged"),
    "empty": ("disp_0", lambda path: path.write_bytes(b""), "is not a PNG"),
    "a JPEG": (
        "disp_1",
        lambda path: path.write_bytes(cv2.imencode(".jpg", np.zeros(SIZE, np.uint8))[1].tobytes()),
        "is not a PNG",
    ),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("planted", PICTURES)
def test_a_wrong_picture(tmp_path: Path, planted: str, zipped: bool) -> None:
    kind = tiny_kind("kitti2015", "sceneflow")
    folder = write_folder(tmp_path / "out", kind)
    inner, spoil, problem = PICTURES[planted]
    name = f"{inner}/000001_10.png"
    spoil(folder / name)
    report = check_path(pack(folder, tmp_path / "out.zip") if zipped else folder, kind)
    assert named(report) == [(name, problem)]
    assert report.faults[0].advice
    assert report.files == 3 * SCENES - (planted == "missing")


def copy_to(target: str, source: str = "flow/000001_10.png") -> Callable[[Path], object]:
    def plant(folder: Path) -> None:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / source, folder / target)

    return plant


def move(source: str, target: str) -> Callable[[Path], object]:
    def plant(folder: Path) -> None:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).rename(folder / target)

    return plant


def move_everything(target: str) -> Callable[[Path], object]:
    def plant(folder: Path) -> None:
        aside = folder.with_name("aside")
        folder.rename(aside)
        (folder / target).parent.mkdir(parents=True)
        aside.rename(folder / target)

    return plant


FOREIGN = "does not belong in the submission"
NAMES: dict[str, tuple[str, str, Callable[[Path], object], list[tuple[str, str]]]] = {
    "extra picture": (
        "kitti2015", "flow", copy_to("flow/000003_10.png"), [("flow/000003_10.png", FOREIGN)]
    ),
    "extra folder": (
        "kitti2015", "flow", copy_to("flow_colour/000001_10.png"), [("flow_colour/", FOREIGN)]
    ),
    "extra task": (
        "kitti2015", "stereo", copy_to("flow/000001_10.png", "disp_0/000001_10.png"),
        [("flow/", FOREIGN)],
    ),
    "extra file in the root": (
        "kitti2012", "flow", copy_to("readme.txt", "000001_10.png"), [("readme.txt", FOREIGN)]
    ),
    "wrong name": (
        "kitti2015", "flow", move("flow/000002_10.png", "flow/000002.png"), [("flow/000002.png", "has the wrong name")]
    ),
    "capital suffix": (
        "kitti2012", "stereo", move("000000_10.png", "000000_10.PNG"), [("000000_10.PNG", "has the wrong name")]
    ),
    "wrong place": (
        "kitti2015", "flow", move("flow/000002_10.png", "000002_10.png"), [("000002_10.png", "is in the wrong place")]
    ),
    "nested picture": (
        "kitti2015", "sceneflow", move("flow/000002_10.png", "flow/flow/000002_10.png"),
        [("flow/flow/000002_10.png", "is in the wrong place")],
    ),
    "nested folder": (
        "kitti2015", "sceneflow", move_everything("results"), [("results/", "contains the files one level too deep")]
    ),
    "deeply nested": ("kitti2015", "flow", move_everything("a/b"), [("a/b/", "contains the files one level too deep")]),
    "a folder in 2012's": (
        "kitti2012", "flow", move_everything("flow"), [("flow/", "contains the files one level too deep")]
    ),
    "2015's in the root": (
        "kitti2015", "flow", lambda folder: [path.rename(folder / path.name) for path in (folder / "flow").iterdir()],
        [("/", "contains files that belong in another folder")],
    ),
    "2015's in a folder of another name": (
        "kitti2015", "flow", move("flow", "my_submission"),
        [("my_submission/", "contains files that belong in another folder")],
    ),
    "one folder of another name": (
        "kitti2015", "sceneflow", move("flow", "flows"), [("flows/", "contains files that belong in another folder")]
    ),
    "all of another name": (
        "kitti2015", "flow",
        lambda folder: [path.rename(path.with_stem(path.stem[:6])) for path in (folder / "flow").iterdir()],
        [("flow/000000.png", "has the wrong name")],
    ),
    "other frames, too": (
        "kitti2015", "flow",
        lambda folder: [shutil.copy(path, str(path).replace("_10", "_11")) for path in (folder / "flow").iterdir()],
        [("flow/000000_11.png", "is not of frame 10, the only one evaluated")],
    ),
    "missing folder": (
        "kitti2015", "sceneflow", lambda folder: shutil.rmtree(folder / "disp_1"), [("disp_1/", "is missing")]
    ),
    "everything missing": (
        "kitti2015",
        "flow",
        lambda folder: shutil.rmtree(folder / "flow"),
        [("/", "contains none of the expected files")],
    ),
    "two missing": (
        "kitti2012", "flow", lambda folder: [(folder / f"00000{k}_10.png").unlink() for k in (0, 2)],
        [("000000_10.png", "is missing"), ("000002_10.png", "is missing")],
    ),
    "macOS": (
        "kitti2015", "flow", copy_to("__MACOSX/flow/._000001_10.png"),
        [("__MACOSX/flow/._000001_10.png", "was added by the operating system")],
    ),
    "macOS beside the pictures": (
        "kitti2015", "flow", copy_to("flow/.DS_Store"), [("flow/.DS_Store", "was added by the operating system")]
    ),
    "missing pass": (
        "sintel", "flow", lambda folder: shutil.rmtree(folder / "final"), [("final/", "is missing")]
    ),
    "missing scene": (
        "sintel", "flow", lambda folder: shutil.rmtree(folder / "clean" / "wall"), [("clean/wall/", "is missing")]
    ),
    "missing frame": (
        "sintel", "flow", lambda folder: (folder / "final/wall/frame_0002.flo").unlink(),
        [("final/wall/frame_0002.flo", "is missing")],
    ),
    "a flow for the last frame": (
        "sintel", "flow", copy_to("final/wall/frame_0003.flo", "final/wall/frame_0002.flo"),
        [("final/wall/frame_0003.flo", FOREIGN)],
    ),
    "a wrong name of a frame": (
        "sintel", "flow", move("final/wall/frame_0002.flo", "final/wall/frame_2.flo"),
        [("final/wall/frame_2.flo", "has the wrong name")],
    ),
    "a training scene": (
        "sintel", "flow", copy_to("clean/alley_1/frame_0001.flo", "clean/wall/frame_0001.flo"),
        [("clean/alley_1/", FOREIGN)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", NAMES)
def test_wrong_names_and_places(tmp_path: Path, planted: str) -> None:
    benchmark, task, plant, faults = NAMES[planted]
    kind = tiny_kind(benchmark, task)
    folder = write_folder(tmp_path / "out", kind)
    plant(folder)
    path = pack(folder, tmp_path / "out.zip") if kind.zipped else folder
    report = check_path(path, kind)
    assert named(report) == faults


def rename_flows(folder: Path, rename: Callable[[int], str]) -> None:
    """Rename every flow of Sintel, starting with the last one."""
    for path in sorted(folder.rglob("*.flo"), reverse=True):
        path.rename(path.with_name(rename(int(path.stem[-4:]))))


@pytest.mark.parametrize("scene", ["", "wall"])
def test_sintels_names_as_the_bundlers_readme_has_them(tmp_path: Path, scene: str) -> None:
    """`clean/ambush_1/frame0001.flo`, in every scene or in one only, and one folder too deep."""
    kind = tiny_kind("sintel")
    folder = write_folder(tmp_path / "deep" / "out", kind)
    for inner in ("clean", "final"):
        rename_flows(folder / inner / scene, lambda number: f"frame{number:04d}.flo")
    report = check_path(folder, kind)
    assert report.faults == []
    assert report.files == len(kind.files)
    assert named(check_path(tmp_path / "deep", kind)) == [("out/", "contains the files one level too deep")]
    # Their content is checked, and a missing one is reported under the name that flowdistill writes.
    first, second = sorted(folder.rglob("wall/frame0*.flo"))[:2]
    first.unlink()
    cut(second)
    names = [path.relative_to(folder).as_posix() for path in (first, second)]
    assert named(check_path(folder, kind)) == [
        (names[0].replace("frame0", "frame_0"), "is missing"),
        (names[1], "is damaged"),
    ]


def test_both_of_sintels_names_for_one_frame(tmp_path: Path) -> None:
    kind = tiny_kind("sintel")
    folder = write_folder(tmp_path / "out", kind)
    shutil.copy(folder / "clean/wall/frame_0002.flo", folder / "clean/wall/frame0002.flo")
    (fault,) = check_path(folder, kind).faults
    assert fault.problem == "exists under two names"
    assert {fault.file, fault.detail.removeprefix("the other is ")} == {
        "clean/wall/frame_0002.flo",
        "clean/wall/frame0002.flo",
    }


@pytest.mark.parametrize(
    ("form", "problem", "detail"),
    [
        (
            "frame_{}.flo",
            "has the wrong name",
            "must be clean/wall/frame_0001.flo, and 9 more of the same kind",
        ),
        (
            "{:04d}.flo",
            "has the wrong name",
            "must be clean/wall/frame_0001.flo, and 9 more of the same kind",
        ),
        ("market_3_{:05d}.flo", "has the wrong name", "and 9 more of the same kind"),
    ],
)
def test_other_names_of_sintels_frames_are_one_fault(
    tmp_path: Path, form: str, problem: str, detail: str
) -> None:
    kind = tiny_kind("sintel")
    folder = write_folder(tmp_path / "out", kind)
    rename_flows(folder, form.format)
    (fault,) = check_path(folder, kind).faults
    assert fault.problem == problem
    assert detail in fault.detail
    assert check_path(folder, kind).files == len(kind.files)


@pytest.mark.parametrize("form", ["frame_{:04d}.flo", "frame{:04d}.flo", "out_{:05d}.flo"])
def test_sintels_frames_numbered_from_0_are_one_fault(tmp_path: Path, form: str) -> None:
    """Frame 1 by name is frame 2 of the film: nothing else reveals the mistake."""
    kind = tiny_kind("sintel")
    folder = write_folder(tmp_path / "out", kind)
    for path in sorted(folder.rglob("*.flo")):
        path.rename(path.with_name(form.format(int(path.stem[-4:]) - 1)))
    (fault,) = check_path(folder, kind).faults
    assert fault.problem == "is numbered from 0, but the benchmark from 1"
    assert fault.detail.endswith("all files of 4 folders")


class TestLinks:
    @pytest.fixture
    def aside(self, tmp_path: Path) -> Path:
        return write_folder(tmp_path / "aside", tiny_kind("kitti2015"))

    def test_a_linked_folder_and_linked_files(self, tmp_path: Path, aside: Path) -> None:
        for name, target in (("folder", aside / "flow"), ("files", None)):
            (tmp_path / name).mkdir()
            if target is not None:
                (tmp_path / name / "flow").symlink_to(target)
                continue
            (tmp_path / name / "flow").mkdir()
            for path in (aside / "flow").iterdir():
                (tmp_path / name / "flow" / path.name).symlink_to(path)
        for name in ("folder", "files"):
            report = check_path(tmp_path / name, tiny_kind("kitti2015"))
            assert report.faults == []
            assert report.files == SCENES
            members = open_members(tmp_path / name)
            assert not isinstance(members, Fault)
            assert members.total_bytes() == sum(path.stat().st_size for path in aside.rglob("*.png"))

    def test_links_to_nothing_are_named_once(self, tmp_path: Path, aside: Path) -> None:
        (aside / "flow" / "000001_10.png").unlink()
        (aside / "flow" / "000001_10.png").symlink_to("gone.png")
        (aside / "self").symlink_to("self")
        assert named(check_path(aside, tiny_kind("kitti2015"))) == [
            ("flow/000001_10.png", "is a broken link"),
            ("self", "is a broken link"),
        ]
        (aside / "flow").rename(tmp_path / "moved")
        (aside / "flow").symlink_to(tmp_path / "nowhere")
        assert ("flow", "is a broken link") in named(check_path(aside, tiny_kind("kitti2015")))

    def test_a_link_that_leads_back_ends(self, aside: Path) -> None:
        (aside / "flow" / "again").symlink_to(aside)
        assert named(check_path(aside, tiny_kind("kitti2015"))) == [
            ("flow/again/", "is a link to one of its parent folders")
        ]

    def test_a_pipe_is_not_read(self, aside: Path) -> None:
        (aside / "flow" / "000001_10.png").unlink()
        os.mkfifo(aside / "flow" / "000001_10.png")
        assert named(check_path(aside, tiny_kind("kitti2015"))) == [("flow/000001_10.png", "is not a file")]

    def test_links_that_were_packed_as_links(self, tmp_path: Path, aside: Path) -> None:
        archive = pack(aside, tmp_path / "out.zip")
        link = zipfile.ZipInfo("flow/link.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(archive, "a") as stream:
            stream.writestr(link, "/data/link.png")
        assert named(check_path(archive, tiny_kind("kitti2015"))) == [
            ("flow/link.png", "is a link, not a file")
        ]


def test_what_lies_beside_sintels_passes_does_not_matter(tmp_path: Path) -> None:
    kind = tiny_kind("sintel")
    folder = write_folder(tmp_path / "out", kind)
    (folder / "out.lzma").write_bytes(b"bundled")
    assert check_path(folder, kind).faults == []


def put(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(flow: np.ndarray) -> np.ndarray:
        flow[2, 3, 1] = value
        return flow

    return change


FLOWS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "nan": (put(np.nan), "has values that are not finite"),
    "infinite": (put(-np.inf), "has values that are not finite"),
    "unknown": (put(1.7e9), "has values out of range: over 40 px, the frame's longer side"),
    "out of range": (put(-50), "has values out of range: over 40 px, the frame's longer side"),
    "a column more": (
        lambda flow: np.hstack([flow, flow[:, :1]]),
        "does not have the test image's size, 24 x 40",
    ),
    "turned": (lambda flow: np.swapaxes(flow, 0, 1), "does not have the test image's size, 24 x 40"),
}


@pytest.mark.parametrize("planted", FLOWS)
def test_a_wrong_flow(tmp_path: Path, planted: str) -> None:
    kind = tiny_kind("sintel")
    folder = write_folder(tmp_path / "out", kind)
    change, problem = FLOWS[planted]
    name = "clean/PERTURBED_market_3/frame_0003.flo"
    slow_sintel.write_flo(folder / name, change(read_flo(folder / name)))
    assert named(check_path(folder, kind)) == [(name, problem)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"PIEH" + bytes(7), "is damaged"), (b"PNG", "is not a .flo file"), (None, "is damaged")],
)
def test_a_broken_flow(tmp_path: Path, content: bytes | None, problem: str) -> None:
    kind = tiny_kind("sintel")
    folder = write_folder(tmp_path / "out", kind)
    name = "final/wall/frame_0001.flo"
    (folder / name).write_bytes((folder / name).read_bytes()[:-4] if content is None else content)
    assert named(check_path(folder, kind)) == [(name, problem)]


def test_several_faults_are_all_named(tmp_path: Path) -> None:
    kind = tiny_kind("kitti2015", "sceneflow")
    folder = write_folder(tmp_path / "out", kind)
    (folder / "flow" / "000000_10.png").unlink()
    cut(folder / "disp_0" / "000001_10.png")
    edit(lambda codes: codes[1:])(folder / "disp_1" / "000002_10.png")
    copy_to("disp_1/notes.txt")(folder)
    report = check_path(pack(folder, tmp_path / "out.zip"), kind)
    assert sorted(named(report)) == [
        ("disp_0/000001_10.png", "is damaged"),
        ("disp_1/000002_10.png", "does not have the test image's size, 24 x 40"),
        ("disp_1/notes.txt", FOREIGN),
        ("flow/000000_10.png", "is missing"),
    ]


def test_files_of_an_image_agree_in_size(tmp_path: Path) -> None:
    """Without the images, every size of the benchmark is allowed, but not two for one image."""
    kind = tiny_kind("kitti2015", "sceneflow")
    folder = write_folder(tmp_path / "out", kind)
    for inner in ("disp_0", "disp_1", "flow"):
        edit(lambda codes: codes[:-1])(folder / inner / "000000_10.png")
    edit(lambda codes: codes[:-1])(folder / "flow" / "000002_10.png")
    both = type(kind)(kind.benchmark, kind.title, kind.files, frozenset({SIZE, (SIZE[0] - 1, SIZE[1])}), True)
    report = check_path(folder, both)
    assert named(report) == [("flow/000002_10.png", "differs in size from another file of its image")]
    assert report.faults[0].detail == "23 x 40, but disp_0/000002_10.png 24 x 40"
    # With them, each image has its one size.
    sizes = dict.fromkeys(kind.images, SIZE)
    assert len(check_path(folder, both, sizes).faults) == 4
    assert check_path(folder, both, sizes | {"000000_10.png": (23, 40), "000002_10.png": (23, 40)}).faults[
        0
    ].file == ("disp_0/000002_10.png")


def test_codes_at_the_end_of_the_range_are_no_fault(tmp_path: Path) -> None:
    """Single values at the very end of the range are legal codes."""
    kind = tiny_kind("kitti2012", "flow")
    folder = write_folder(tmp_path / "out", kind)

    def change(codes: np.ndarray) -> np.ndarray:
        codes = codes.copy()
        codes[0, 0] = (65535, 40000, 1)
        codes[..., 2] *= 65535  # any number but 0 means valid
        return codes

    edit(change)(folder / "000000_10.png")
    assert check_path(folder, kind).faults == []


class TestArchives:
    @pytest.fixture
    def archive(self, tmp_path: Path) -> Path:
        return pack(write_folder(tmp_path / "out", tiny_kind("kitti2012")), tmp_path / "out.zip")

    @pytest.mark.parametrize("content", [b"", b"not a zip", None])
    def test_no_zip(self, archive: Path, content: bytes | None) -> None:
        archive.write_bytes(archive.read_bytes()[:-300] if content is None else content)
        assert named(check_path(archive, tiny_kind("kitti2012"))) == [
            ("out.zip", "is not a zip archive, or is truncated")
        ]

    def test_damage_within(self, archive: Path) -> None:
        content = bytearray(archive.read_bytes())
        with zipfile.ZipFile(archive) as stream:
            info = stream.getinfo("000001_10.png")
        content[info.header_offset + 300] ^= 1
        archive.write_bytes(content)
        assert named(check_path(archive, tiny_kind("kitti2012"))) == [
            ("000001_10.png", "is damaged in the archive")
        ]

    def test_a_name_twice(self, archive: Path) -> None:
        with zipfile.ZipFile(archive, "a") as stream:
            content = stream.read("000001_10.png")
            with pytest.warns(UserWarning, match="Duplicate"):
                stream.writestr("000001_10.png", content)
        assert named(check_path(archive, tiny_kind("kitti2012"))) == [
            ("000001_10.png", "is in the archive more than once")
        ]

    def test_backslashes(self, tmp_path: Path) -> None:
        kind = tiny_kind("kitti2015")
        folder = write_folder(tmp_path / "out", kind)
        with zipfile.ZipFile(tmp_path / "out.zip", "w") as stream:
            for name in kind.files:
                info = zipfile.ZipInfo(name.replace("/", "\\"))
                stream.writestr(info, (folder / name).read_bytes())
        report = check_path(tmp_path / "out.zip", kind)
        assert named(report) == [
            (name.replace("/", "\\"), "has a backslash in its path") for name in kind.files
        ]

    def test_another_compression(self, tmp_path: Path) -> None:
        kind = tiny_kind("kitti2012")
        folder = write_folder(tmp_path / "out", kind)
        with zipfile.ZipFile(tmp_path / "out.zip", "w", zipfile.ZIP_LZMA) as stream:
            for name in kind.files:
                stream.write(folder / name, name)
        assert named(check_path(tmp_path / "out.zip", kind)) == [
            (name, "uses an unsupported compression method") for name in kind.files
        ]

    def test_a_password(self, archive: Path) -> None:
        content = bytearray(archive.read_bytes())
        with zipfile.ZipFile(archive) as stream:
            info = stream.getinfo("000002_10.png")
        # The encryption flag is in the file's own header and in the directory at the archive's end.
        content[info.header_offset + 6] |= 1
        content[content.rindex(b"PK\x01\x02", 0, content.rindex(b"000002_10.png")) + 8] |= 1
        archive.write_bytes(content)
        assert named(check_path(archive, tiny_kind("kitti2012"))) == [("000002_10.png", "is encrypted")]

    def test_a_file_too_large_to_be_a_picture_is_not_read(self, tmp_path: Path) -> None:
        kind = tiny_kind("kitti2012")
        folder = write_folder(tmp_path / "out", kind)
        (folder / "000001_10.png").write_bytes(bytes(70_000_000))
        report = check_path(pack(folder, tmp_path / "out.zip"), kind)
        assert named(report) == [("000001_10.png", "is too large for an image of the benchmark")]
        assert named(check_path(folder, kind)) == named(report)

    def test_more_than_the_server_takes(self, tmp_path: Path) -> None:
        kind = tiny_kind("kitti2012")
        folder = write_folder(tmp_path / "out", kind)
        with zipfile.ZipFile(pack(folder, tmp_path / "out.zip"), "a", zipfile.ZIP_DEFLATED) as stream:
            stream.writestr("film.mp4", bytes(510_000_000))
        report = check_path(tmp_path / "out.zip", kind)
        assert named(report) == [
            ("film.mp4", FOREIGN),
            ("/", "is larger than the 500 MB that the server accepts"),
        ]
