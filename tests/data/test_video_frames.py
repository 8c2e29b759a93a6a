"""Frames of videos: equal to decoding in order, decoded once, and faults reported with the frame number."""

import json
import multiprocessing
import os
import shutil
import struct
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from own_frames import decoded_in_order, film, picture, write_names, write_video

from flowdistill.data import open_dataset, video
from flowdistill.data.dataset import MotionDataset, ViewName
from flowdistill.data.video import video_frames
from flowdistill.errors import UserError
from flowdistill.formats import read_image

FRAMES = 30


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pan in four video formats."""
    folder = tmp_path_factory.mktemp("clips")
    wide = picture(1, (64, 96 + 2 * FRAMES)) // 2
    wide += np.random.default_rng(0).integers(0, 99, wide.shape, dtype=np.uint8)  # more bytes per frame
    frames = [np.ascontiguousarray(wide[:, 2 * n : 2 * n + 96]) for n in range(FRAMES)]
    for name, codec in (("a.mp4", "mp4v"), ("b.AVI", "XVID"), ("c.mkv", "mp4v"), ("d.webm", "VP80")):
        write_video(folder / name, frames, codec)
    return folder


def copied(clips: Path, name: str, root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(clips / name, root / name))


def opened(root: Path, view: ViewName = "flow", **options: str | int) -> MotionDataset:
    return open_dataset("folder", str(root), "scan", view, False, options)


@pytest.mark.parametrize("name", ["a.mp4", "b.AVI", "c.mkv", "d.webm"])
def test_frame_k_is_the_kth_of_decoding_in_order(name: str, clips: Path, tmp_path: Path) -> None:
    truth = decoded_in_order(copied(clips, name, tmp_path))
    assert len(truth) == FRAMES
    data = opened(tmp_path)
    assert [entry.id for entry in data.entries] == [f"{name}/{number:06d}" for number in range(FRAMES - 1)]
    for index in (17, 0, 28, 5):  # in random order, as in training
        sample = data[index]
        for key, frame in (("left_t0", truth[index]), ("left_t1", truth[index + 1])):
            shown = (sample[key] * 255).numpy().round().transpose(1, 2, 0)  # type: ignore[literal-required]
            assert np.array_equal(shown, frame)
    assert not np.array_equal(truth[5], truth[6])


def test_only_the_frames_of_every_are_kept(clips: Path, tmp_path: Path) -> None:
    truth = decoded_in_order(copied(clips, "a.mp4", tmp_path))
    data = opened(tmp_path, every=7)
    assert [entry.id for entry in data.entries] == [f"a.mp4/{number:06d}" for number in (0, 7, 14, 21)]
    kept = tmp_path / ".flowdistill/video/a.mp4"
    assert sorted(file.name for file in kept.glob("*.png")) == [
        f"{number:06d}.png" for number in range(0, FRAMES, 7)
    ]
    assert np.array_equal(read_image(data.entries[1].frames[1]), truth[14])
    opened(tmp_path, every=3)
    assert len(list(kept.glob("*.png"))) == len({*range(0, FRAMES, 3), *range(0, FRAMES, 7)})
    assert np.array_equal(read_image(kept / "000003.png"), truth[3])


def test_a_video_is_decoded_once_until_it_changes(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied(clips, "a.mp4", tmp_path)
    video_frames(str(tmp_path), "a.mp4")
    text = capsys.readouterr().err
    assert f"{path}: 30 frames, decoded now, 0.5 MB of PNG files" in text
    decode = video.decode_video
    monkeypatch.delattr(video, "decode_video")
    frames = video_frames(str(tmp_path), "a.mp4", 6)
    assert frames.numbers() == range(0, 30, 6)
    assert "30 frames, decoded before" in capsys.readouterr().err
    monkeypatch.setattr(video, "decode_video", decode, raising=False)
    os.remove(frames.path(12))  # a frame was deleted
    video_frames(str(tmp_path), "a.mp4", 6)
    assert "decoded now" in capsys.readouterr().err
    write_video(path, [picture(n, (48, 64)) for n in range(4)])
    frames = video_frames(str(tmp_path), "a.mp4")
    assert (frames.count, read_image(frames.path(0)).shape) == (4, (48, 64, 3))
    assert len(os.listdir(frames.folder)) == 5  # no frame of the old video is left


def test_an_interrupted_decoding_is_not_taken_for_whole(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(clips, "a.mp4", tmp_path)
    write, written = video.write_image, []

    def interrupted(path: str, image: np.ndarray) -> None:
        if len(written) == 9:
            raise KeyboardInterrupt
        written.append(path)
        write(path, image)

    monkeypatch.setattr(video, "write_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        video_frames(str(tmp_path), "a.mp4")
    monkeypatch.undo()
    print("stderr is back", file=sys.stderr)
    assert len(opened(tmp_path)) == FRAMES - 1


def _decode_in_process(root: str) -> None:
    assert video_frames(root, "a.mp4").count == FRAMES


def test_processes_that_start_together(
    clips: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copied(clips, "a.mp4", tmp_path)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_decode_in_process, args=(str(tmp_path),)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert capfd.readouterr().err.count("decoded now") == 1


def test_the_rotation_flag_is_honoured(clips: Path, tmp_path: Path) -> None:
    """Set a rotation by 90 degrees as phones do: in the matrix of the track's header."""
    content = bytearray((clips / "a.mp4").read_bytes())
    matrix = content.index(b"tkhd") + 44
    one = 1 << 16
    content[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 64 * one, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(content)
    frames = video_frames(str(tmp_path), "turned.mp4")
    upright = decoded_in_order(clips / "a.mp4")[3]
    assert np.array_equal(read_image(frames.path(3)), np.rot90(upright, -1))


def test_cut_off_videos_are_named_with_the_last_frame(clips: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.AVI", "c.mkv", "d.webm"):
        content = (clips / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(UserError) as caught:
        opened(tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4  # all broken videos are reported at once
    assert lines[0].startswith(f"{tmp_path}/a.mp4: not a video that OpenCV can open")
    for line, name in zip(lines[1:], ("b.AVI", "c.mkv", "d.webm"), strict=True):
        count = len(decoded_in_order(tmp_path / name))
        assert line.startswith(f"{tmp_path}/{name}: broken or cut off")
        assert f"{count} of 30 frames could be decoded, the last one is frame {count - 1}" in line
        assert 5 < count < 25
    assert not list((tmp_path / ".flowdistill").rglob("*.png"))  # none of their frames are kept


def test_a_damaged_frame_is_named(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The decoder conceals a damaged frame and continues; the note says where, also when the frames are used again."""
    content = bytearray((clips / "a.mp4").read_bytes())
    place = len(content) * 4 // 10
    content[place : place + 8] = bytes(byte ^ 0x55 for byte in content[place : place + 8])
    (tmp_path / "d.mp4").write_bytes(content)
    whole, damaged = decoded_in_order(clips / "a.mp4"), decoded_in_order(tmp_path / "d.mp4")
    first = next(n for n in range(FRAMES) if not np.array_equal(whole[n], damaged[n]))
    for _ in range(2):
        assert video_frames(str(tmp_path), "d.mp4").count == FRAMES
        text = capsys.readouterr().err
        assert "d.mp4: 30 frames" in text
        near = [number for number in range(FRAMES) if f"reports an error at frame {number} (" in text]
        assert len(near) == 1
        assert abs(near[0] - first) <= 1


def test_what_is_no_video(tmp_path: Path) -> None:
    write_names(tmp_path, ["1.png", "2.png"])
    (tmp_path / "clip.mp4").write_bytes(b"<html>404</html>" * 99)
    with pytest.raises(UserError, match=r"clip\.mp4: not a video that OpenCV can open"):
        opened(tmp_path)
    (tmp_path / "clip.mp4").unlink()
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    with pytest.raises(UserError, match=r"gone\.mp4: this video cannot be read"):
        opened(tmp_path)


def test_a_full_disk_is_a_message(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied(clips, "a.mp4", tmp_path)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(
        UserError, match=r"a\.mp4: its frames cannot be stored.*are needed, and 0\.0 MB are free"
    ):
        opened(tmp_path)
    assert not (tmp_path / ".flowdistill/video/a.mp4").exists()


def test_a_data_folder_that_cannot_be_written(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    copied(clips, "a.mp4", root)
    (root / ".flowdistill").write_text("a file, where a folder would be made")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = opened(root)
    assert data.entries[0].frames[0].startswith(str(tmp_path / "cache" / "flowdistill"))
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="can be written"):
        video_frames(str(root), "a.mp4")


def test_a_manifest_of_somebody_else(clips: Path, tmp_path: Path) -> None:
    copied(clips, "a.mp4", tmp_path)
    frames = video_frames(str(tmp_path), "a.mp4")
    manifest = Path(frames.folder, "frames.json")
    for text in ("", "[]", json.dumps({**json.loads(manifest.read_text()), "version": 0})):
        manifest.write_text(text)
        assert video_frames(str(tmp_path), "a.mp4") == frames
        assert json.loads(manifest.read_text())["version"] == 1


def test_videos_of_two_cameras(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_video(tmp_path / "walk/left.mp4", [picture(n) for n in range(6)])
    write_video(tmp_path / "walk/right.mkv", [picture(n + 50) for n in range(5)])
    write_names(tmp_path / "walk", ["left.png", "right.png"])  # thumbnails
    data = opened(tmp_path, "scene_flow", left="left", right="right")
    assert len(data) == 4
    sample = data[1]
    left, right = (decoded_in_order(tmp_path / "walk" / name) for name in ("left.mp4", "right.mkv"))
    for key, frame in (("left_t0", left[1]), ("right_t1", right[2])):
        shown = (sample[key] * 255).numpy().round().transpose(1, 2, 0)  # type: ignore[literal-required]
        assert np.array_equal(shown, frame)
    assert "frames without a right frame are left out: walk/left.mp4 or walk/right.mkv from frame 5 on" in (
        capsys.readouterr().err
    )


def test_images_and_videos_of_one_folder(clips: Path, tmp_path: Path) -> None:
    copied(clips, "a.mp4", tmp_path)
    write_names(tmp_path, ["1.png", "2.png"])
    write_names(tmp_path / "a", ["1.png", "2.png"])
    assert len(opened(tmp_path)) == 1 + 1 + FRAMES - 1
    assert len(film(3)) == 3
