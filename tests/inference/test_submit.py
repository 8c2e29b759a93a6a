"""A submission contains the network's predictions, as confirmed by evaluation, and passes the server's rules."""

import dataclasses
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flowdistill.cli.flowdistill import main
from flowdistill.data.sample import Sample
from flowdistill.errors import UserError
from flowdistill.evaluation.kitti.files import find_files as find_kitti
from flowdistill.evaluation.kitti.images import evaluate_images, pool
from flowdistill.evaluation.sintel.files import find_files as find_sintel
from flowdistill.evaluation.sintel.frames import evaluate_frames
from flowdistill.evaluation.sintel.frames import pool as pool_sintel
from flowdistill.formats import (
    read_flo,
    read_image,
    read_kitti_disparity,
    read_kitti_flow,
    write_flo,
    write_kitti_disparity,
    write_kitti_flow,
)
from flowdistill.inference.load import load_model
from flowdistill.inference.submit import (
    check_model,
    check_output,
    open_test_set,
    rule_notes,
    write_submission,
)
from flowdistill.networks import DDFlowNet, Dwarf
from flowdistill.networks.dwarf import dwarf_to_image_size
from flowdistill.ops.padding import pad_to_multiple
from flowdistill.submission.check import check_path
from flowdistill.submission.kinds import SubmissionKind, kitti2012, kitti2015, sintel
from flowdistill.training import DDFlowModule, DwarfModule
from flowdistill.training.base import MotionModule
from small_trainer import trainer

SIZE = (70, 128)  # not a multiple of 64, so that DWARF pads
SCENES = 2


def render(folder: Path, layout: str, frames: int) -> Path:
    arguments = [
        "--output",
        str(folder / layout),
        "--layout",
        layout,
        "--scenes",
        "1",
        "--test-scenes",
        str(SCENES),
    ]
    assert (
        main(["data", "render", *arguments, "--frames", str(frames), "--size", f"{SIZE[0]}x{SIZE[1]}"]) == 0
    )
    return folder / layout


@pytest.fixture(scope="module")
def kitti(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames 10 and 11 exist; the same pictures also as KITTI 2012."""
    root = render(tmp_path_factory.mktemp("kitti"), "kitti2015", 12)
    for year, twelve in (("image_2", "colored_0"), ("image_3", "colored_1")):
        shutil.copytree(root / "testing" / year, root.with_name("kitti2012") / "testing" / twelve)
    return root


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("film"), "sintel", 3)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained, with biases that move the predictions away from zero."""
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    modules: dict[str, MotionModule] = {
        "ddflow": DDFlowModule(losses={"abs_robust_mean_no_occlusion": 1.0}, width=0.25),
        "dwarf": DwarfModule(
            loss="sparse_full_resolution", alphas={2: 1.0}, width=0.125, initialization="residual"
        ),
    }
    for name, module in modules.items():
        for parameter_name, parameter in module.network.named_parameters():
            if parameter_name.endswith("bias"):
                nn.init.normal_(parameter, -0.05, 0.1)
        run = trainer(folder, 1)
        run.strategy.connect(module)
        run.save_checkpoint(folder / f"{name}.ckpt")
    return {name: folder / f"{name}.ckpt" for name in modules}


def tiny(kind: SubmissionKind) -> SubmissionKind:
    return dataclasses.replace(kind, sizes=frozenset({SIZE}))


def image(path: Path) -> Tensor:
    return torch.from_numpy(read_image(path).transpose(2, 0, 1).astype(np.float32) / 255)[None]


def state(checkpoint: Path) -> dict[str, Tensor]:
    stored = torch.load(checkpoint, weights_only=True)["state_dict"]
    return {name.removeprefix("network."): value for name, value in stored.items()}


@torch.no_grad()
def ddflow_directly(checkpoint: Path, first: Path, second: Path) -> np.ndarray:
    """(H, W, 2) px, by the bare network."""
    network = DDFlowNet(0.25)
    network.load_state_dict(state(checkpoint))
    flow = network.eval()(image(first), image(second))[0].full
    return flow[0].numpy().transpose(1, 2, 0)


@torch.no_grad()
def dwarf_directly(checkpoint: Path, images: list[Path]) -> dict[str, np.ndarray]:
    """Folder of KITTI -> (H, W, C) px."""
    network = Dwarf(0.125)
    network.load_state_dict(state(checkpoint))
    padded = [pad_to_multiple(image(path), 64)[0] for path in images]
    motion = dwarf_to_image_size(network.eval()(*padded), SIZE, "crop")
    found = {"flow": motion.flow, "disp_0": motion.disparity_t0, "disp_1": motion.disparity_t1}
    return {name: value[0].numpy().transpose(1, 2, 0) for name, value in found.items()}


def submit(kind: SubmissionKind, root: Path, checkpoint: Path, output: Path) -> list[str]:
    model = load_model(checkpoint, "--checkpoint", "cpu")
    check_model(model, kind)
    samples = open_test_set(kind, root, model)
    report = write_submission(kind, model, (samples[index] for index in range(len(samples))), output)
    assert report.files == len(kind.files)
    # Only the result remains.
    assert not list(output.parent.glob(".flowdistill-*"))
    return [fault.problem for fault in report.faults]


def unpack(archive: Path) -> Path:
    folder = archive.with_suffix("")
    with zipfile.ZipFile(archive) as stream:
        stream.extractall(folder)
    return folder


def test_flow_of_kitti_2015(kitti: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    kind = tiny(kitti2015("flow", SCENES))
    assert submit(kind, kitti, checkpoints["ddflow"], tmp_path / "out.zip") == []
    folder = unpack(tmp_path / "out.zip")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")) == list(kind.files)
    for scene in range(SCENES):
        first, second = (kitti / "testing" / "image_2" / f"{scene:06d}_{frame}.png" for frame in (10, 11))
        direct = ddflow_directly(checkpoints["ddflow"], first, second)
        assert np.abs(direct).max() > 0.1
        found, valid = read_kitti_flow(folder / "flow" / f"{scene:06d}_10.png")
        assert valid.all()
        np.testing.assert_allclose(found, direct, atol=0.5 / 64 + 1e-5)
        # The same by evaluation, with the network's predictions as ground truth.
        for occlusion in ("flow_occ", "flow_noc"):
            target = tmp_path / "truth" / occlusion
            target.mkdir(parents=True, exist_ok=True)
            write_kitti_flow(target / f"{scene:06d}_10.png", direct)
    counts = pool(evaluate_images(find_kitti(folder, tmp_path / "truth")))
    assert counts["flow_occ"].all.pixels == SCENES * SIZE[0] * SIZE[1]
    # Rounding may go either way for a value between two codes.
    assert counts["flow_occ"].end_point_error == pytest.approx(0, abs=1e-3)


def test_scene_flow_of_kitti_2015(kitti: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    kind = tiny(kitti2015("sceneflow", SCENES))
    submit(kind, kitti, checkpoints["dwarf"], tmp_path / "out.zip")
    folder = unpack(tmp_path / "out.zip")
    for scene in range(SCENES):
        images = [
            kitti / "testing" / camera / f"{scene:06d}_{frame}.png"
            for frame in (10, 11)
            for camera in ("image_2", "image_3")
        ]
        direct = dwarf_directly(checkpoints["dwarf"], images)
        name = f"{scene:06d}_10.png"
        flow, _ = read_kitti_flow(folder / "flow" / name)
        np.testing.assert_allclose(flow, direct["flow"], atol=0.5 / 64 + 1e-5)
        for disparity in ("disp_0", "disp_1"):
            found, valid = read_kitti_disparity(folder / disparity / name)
            assert valid.all()
            # The smallest valid code also represents 0.
            np.testing.assert_allclose(found, direct[disparity].clip(1 / 256), atol=0.5 / 256 + 1e-5)
        for occlusion in ("occ", "noc"):
            target = tmp_path / "truth"
            for inner in (f"flow_{occlusion}", f"disp_{occlusion}_0", f"disp_{occlusion}_1"):
                (target / inner).mkdir(parents=True, exist_ok=True)
            write_kitti_flow(target / f"flow_{occlusion}" / name, direct["flow"])
            for time in (0, 1):
                write_kitti_disparity(
                    target / f"disp_{occlusion}_{time}" / name, direct[f"disp_{time}"].clip(0)
                )
    counts = pool(evaluate_images(find_kitti(folder, tmp_path / "truth")))
    assert counts["scene_flow_occ"].all.pixels == SCENES * SIZE[0] * SIZE[1]
    assert counts["scene_flow_occ"].all.errors == 0


@pytest.mark.parametrize("task", ["stereo", "flow"])
def test_kitti_2012(kitti: Path, checkpoints: dict[str, Path], tmp_path: Path, task: str) -> None:
    kind = tiny(kitti2012(task, SCENES))
    root = kitti.with_name("kitti2012")
    submit(kind, root, checkpoints["dwarf"], tmp_path / "out.zip")
    folder = unpack(tmp_path / "out.zip")
    assert sorted(path.name for path in folder.iterdir()) == ["000000_10.png", "000001_10.png"]
    images = [
        root / "testing" / camera / f"000001_{frame}.png"
        for frame in (10, 11)
        for camera in ("colored_0", "colored_1")
    ]
    direct = dwarf_directly(checkpoints["dwarf"], images)
    if task == "stereo":
        found, _ = read_kitti_disparity(folder / "000001_10.png")
        np.testing.assert_allclose(found, direct["disp_0"].clip(1 / 256), atol=0.5 / 256 + 1e-5)
    else:
        found, _ = read_kitti_flow(folder / "000001_10.png")
        np.testing.assert_allclose(found, direct["flow"], atol=0.5 / 64 + 1e-5)


def test_sintel(film: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    scenes = sorted(path.name for path in (film / "test" / "clean").iterdir())
    assert len(scenes) == SCENES
    kind = tiny(sintel(dict.fromkeys(scenes, 3)))
    assert submit(kind, film, checkpoints["ddflow"], tmp_path / "out") == []
    for name in (f"{scene}/frame_000{number}" for scene in scenes for number in (1, 2)):
        for pass_ in ("clean", "final"):
            first = film / "test" / pass_ / f"{name}.png"
            second = first.with_name(f"frame_000{int(name[-1]) + 1}.png")
            direct = ddflow_directly(checkpoints["ddflow"], first, second)
            found = read_flo(tmp_path / "out" / pass_ / f"{name}.flo")
            np.testing.assert_allclose(found, direct, atol=1e-5)
            if pass_ == "final":
                target = tmp_path / "truth" / "flow" / f"{name}.flo"
                target.parent.mkdir(parents=True, exist_ok=True)
                write_flo(target, direct)
    errors = pool_sintel(evaluate_frames(find_sintel(tmp_path / "out", tmp_path / "truth")).values())
    assert errors["final"]["all"].pixels == SCENES * 2 * SIZE[0] * SIZE[1]
    assert cast(float, errors["final"]["all"].mean) < 1e-5
    assert cast(float, errors["clean"]["all"].mean) > 1e-4  # the passes are different pictures


def test_the_same_archive_twice(kitti: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    kind = tiny(kitti2015("flow", SCENES))
    for name in ("one.zip", "two.zip"):
        submit(kind, kitti, checkpoints["ddflow"], tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_faults_are_reported_and_the_submission_stays(
    kitti: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """A diverged network: its predictions do not fit into KITTI's format."""
    kind = tiny(kitti2015("flow", SCENES))
    model = load_model(checkpoints["ddflow"], "--checkpoint", "cpu")
    cast(Any, model.network).context[-1].bias.data.fill_(1e6)
    samples = open_test_set(kind, kitti, model)
    report = write_submission(kind, model, (samples[i] for i in range(SCENES)), tmp_path / "out.zip")
    assert [(fault.file, fault.problem) for fault in report.faults] == [
        (name, "has no valid pixel") for name in kind.files
    ]
    assert check_path(tmp_path / "out.zip", kind).files == SCENES


def test_an_interrupted_run_leaves_nothing(kitti: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    kind = tiny(kitti2015("flow", SCENES))
    model = load_model(checkpoints["ddflow"], "--checkpoint", "cpu")
    samples = open_test_set(kind, kitti, model)

    def interrupted() -> Iterator[Sample]:
        yield samples[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_submission(kind, model, interrupted(), tmp_path / "out.zip")
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_never_replaced(kitti: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    kind = tiny(kitti2015("flow", SCENES))
    model = load_model(checkpoints["ddflow"], "--checkpoint", "cpu")
    samples = open_test_set(kind, kitti, model)
    (tmp_path / "out.zip").write_text("precious")
    with pytest.raises(UserError, match="exists and is not replaced"):
        check_output(tmp_path / "out.zip")
    # It may also appear while predicting.
    with pytest.raises(UserError, match="exists and is not replaced"):
        write_submission(kind, model, (samples[i] for i in range(SCENES)), tmp_path / "out.zip")
    assert (tmp_path / "out.zip").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["out.zip"]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("ddflow", kitti2015("stereo"), "KITTI 2015 stereo needs disparity"),
        ("ddflow", kitti2015("sceneflow"), "KITTI 2015 sceneflow needs disparity"),
        ("ddflow", kitti2012("stereo"), "use a DWARF checkpoint"),
        ("dwarf", sintel(), "DWARF needs both cameras of a stereo pair"),
    ],
)
def test_a_model_that_cannot(
    checkpoints: dict[str, Path], name: str, kind: SubmissionKind, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        check_model(load_model(checkpoints[name], "--checkpoint", "cpu"), kind)


def test_kitti_2012_forbids_stereo_for_flow(checkpoints: dict[str, Path]) -> None:
    models = {name: load_model(path, "--checkpoint", "cpu") for name, path in checkpoints.items()}
    assert len(rule_notes(models["dwarf"], kitti2012("flow"))) == 1
    for name, kind in (
        ("ddflow", kitti2012("flow")),
        ("dwarf", kitti2012("stereo")),
        ("dwarf", kitti2015("flow")),
    ):
        assert rule_notes(models[name], kind) == []


def test_wrong_roots(kitti: Path, checkpoints: dict[str, Path]) -> None:
    model = load_model(checkpoints["ddflow"], "--checkpoint", "cpu")
    with pytest.raises(UserError, match=r"--root: .* has no folder testing/image_2"):
        open_test_set(kitti2015("flow", SCENES), kitti / "testing", model)
    with pytest.raises(UserError, match="2 of 6 images that the flow view needs are missing"):
        open_test_set(kitti2015("flow", SCENES + 1), kitti, model)


def test_wrong_checkpoints(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    stored = torch.load(checkpoints["ddflow"], weights_only=True)
    torch.save({**stored, "hyper_parameters": {"width": 0.5}}, tmp_path / "width.ckpt")
    torch.save({**stored, "hyper_parameters": {"width": "wide"}}, tmp_path / "word.ckpt")
    torch.save({"state_dict": {"network.layer": torch.zeros(1)}}, tmp_path / "other.ckpt")
    (tmp_path / "text.ckpt").write_text("weights")
    for name, words in {
        "width.ckpt": "does not fit DDFlowNet",
        "word.ckpt": "its hyper-parameter width is 'wide'",
        "other.ckpt": "is neither a DDFlow nor a DWARF checkpoint",
        "text.ckpt": "is not a checkpoint",
        "none.ckpt": "does not exist",
    }.items():
        with pytest.raises(UserError, match=words) as caught:
            load_model(tmp_path / name, "--checkpoint", "cpu")
        assert str(caught.value).startswith(f"--checkpoint: {tmp_path / name}")


def test_no_gpu(checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="--device cuda: torch finds no usable GPU"):
        load_model(checkpoints["ddflow"], "--checkpoint", "cuda")
    assert load_model(checkpoints["ddflow"], "--checkpoint").device.type == "cpu"


def test_grey_cameras_alone_are_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "testing" / "image_0").mkdir(parents=True)
    model = cast(MotionModule, None)  # checked later
    with pytest.raises(
        UserError, match=r"no folder testing/colored_0 \(for testing/image_0, .* --cameras grey\)"
    ):
        open_test_set(kitti2012("flow"), tmp_path, model)
    with pytest.raises(UserError, match=r"no folder testing/image_2; give the folder"):
        open_test_set(kitti2015("flow"), tmp_path, model)
