"""Exported files against the network, in processes without flowdistill; wrong graphs are refused and leave no file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import flowdistill
from flowdistill.cli.flowdistill import main
from flowdistill.errors import UserError
from flowdistill.export import export as export_module
from flowdistill.export import formats, network, trace, verify
from flowdistill.export.export import export
from flowdistill.networks import DDFlowNet, Dwarf
from flowdistill.training.init_from import init_from
from flowkernels import standard_operators as standard

# Executed where neither flowdistill nor flowkernels can be imported (nor torch, for ONNX).
WITHOUT = """
import sys
for name in ("flowdistill", "flowkernels", *({blocked})):
    sys.modules[name] = None
import numpy as np
images = np.load(sys.argv[2])
images = [images[name] for name in images]
"""
RUN_ONNX = """
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
found = session.run(None, {each.name: image for each, image in zip(session.get_inputs(), images)})
np.savez(sys.argv[3], **{each.name: value for each, value in zip(session.get_outputs(), found)})
"""
RUN_TORCH = """
import torch
program = torch.export.load(sys.argv[1])
found = program.module()(*(torch.from_numpy(image) for image in images))
np.savez(sys.argv[3], *(value.detach().numpy() for value in found))
"""
RUN_AOTI = """
import torch
library = torch._inductor.aoti_load_package(sys.argv[1])
found = library(*(torch.from_numpy(image) for image in images))
np.savez(sys.argv[3], *(value.detach().numpy() for value in found))
"""


def small(kind: type[nn.Module], seed: int = 0) -> Any:
    """A narrow network with weights that give motions of some pixels."""
    torch.manual_seed(seed)
    made = kind(0.0625)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() == 4:
                parameter.mul_(1.4)
    return made.eval()


def run_elsewhere(file: Path, images: tuple[Tensor, ...], script: str, blocked: str = "") -> list[np.ndarray]:
    given, found = file.with_suffix(".in.npz"), file.with_suffix(".out.npz")
    np.savez(given, *(image.numpy() for image in images))
    code = WITHOUT.replace("{blocked}", blocked) + script
    subprocess.run([sys.executable, "-c", code, str(file), str(given), str(found)], check=True)
    with np.load(found) as stored:
        return [stored[name] for name in stored]


def exact(made: nn.Module, images: tuple[Tensor, ...]) -> list[Tensor]:
    """The network's own motions, in float64, on the operators' definitions."""
    graph = network.graph_of(made.double())
    with torch.no_grad():
        found = list(graph(*(image.double() for image in images)))
    made.float()
    return found


def assert_close(found: list[np.ndarray], expected: list[Tensor]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        assert one.shape == tuple(other.shape)
        assert other.abs().max() > 0.1  # the motions are not all but zero
        assert np.abs(one - other.numpy()).max() < 1e-4


def test_onnx_runs_in_a_process_without_flowdistill_and_torch(tmp_path: Path) -> None:
    made = small(DDFlowNet)
    done = export(made, tmp_path / "flow.onnx", "onnx", (75, 110))
    images = verify.moving_images(2, (75, 110), seed=9)
    found = run_elsewhere(done.path, images, RUN_ONNX, blocked='"torch",')
    assert_close(found, exact(made, images))


@pytest.mark.parametrize("kind", [DDFlowNet, Dwarf])
def test_program_of_pytorch_runs_without_flowdistill(tmp_path: Path, kind: type[nn.Module]) -> None:
    made = small(kind)
    done = export(made, tmp_path / "net.pt2", "torch-export", (64, 128))
    images = verify.moving_images(len(network.graph_of(made).inputs), (64, 128), seed=9)
    assert_close(run_elsewhere(done.path, images, RUN_TORCH), exact(made, images))


def test_open_sizes(tmp_path: Path) -> None:
    made = small(DDFlowNet)
    done = export(made, tmp_path / "net.pt2", "torch-export", (128, 192), dynamic=True)
    assert done.agreement.sizes == [(128, 192), (192, 320)]
    images = verify.moving_images(2, (256, 128), seed=9)
    assert_close(run_elsewhere(done.path, images, RUN_TORCH), exact(made, images))


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True])
def test_dwarf_as_onnx(tmp_path: Path, dynamic: bool) -> None:
    made = small(Dwarf)
    done = export(made, tmp_path / "net.onnx", "onnx", (128, 192), dynamic)
    size = (256, 128) if dynamic else (128, 192)
    images = verify.moving_images(4, size, seed=9)
    assert_close(run_elsewhere(done.path, images, RUN_ONNX, blocked='"torch",'), exact(made, images))


@pytest.mark.slow
def test_compiled_library(tmp_path: Path) -> None:
    made = small(DDFlowNet)
    done = export(made, tmp_path / "net.aoti.pt2", "aotinductor", (64, 128), metadata={"mine": "yes"})
    images = verify.moving_images(2, (64, 128), seed=9)
    assert_close(run_elsewhere(done.path, images, RUN_AOTI), exact(made, images))


# Three wrong graphs, as an exporter or a translation may produce them.


def transposed_shifts(x: Tensor, y: Tensor, *settings: Any) -> Tensor:
    """A correlation whose shifts in y and x are swapped: the same shape, other channels."""
    volume = standard.correlation(x, y, *settings)
    rows, columns = 2 * settings[0] + 1, 2 * settings[1] + 1
    batch, _, height, width = volume.shape
    if rows != columns:
        return volume
    return volume.reshape(batch, rows, columns, height, width).transpose(1, 2).flatten(1, 2)


def other_border(image: Tensor, motion: Tensor, convention: str) -> Tensor:
    """A warp that repeats the border, as grid_sample does, instead of the method's own rule."""
    return standard.warp(image, motion, "replicate")


def lost_sum(x: Tensor, y: Tensor, *settings: Any) -> Tensor:
    """A correlation whose writes were lost: zeros, as ONNX's tracer makes of writes into views."""
    return torch.zeros_like(standard.correlation(x, y, *settings))


@pytest.mark.parametrize(
    ("operator", "wrong"),
    [("correlation", transposed_shifts), ("warp", other_border), ("correlation", lost_sum)],
)
def test_wrong_graphs_are_refused(tmp_path: Path, operator: str, wrong: Callable[..., Tensor]) -> None:
    table = standard.standard_operators()
    (key,) = (each for each in table if each.name() == f"flowkernels::{operator}")
    path = tmp_path / "net.pt2"
    path.write_bytes(b"an earlier export")
    with (
        mock.patch.object(trace, "standard_operators", return_value={**table, key: wrong}),
        pytest.raises(verify.ExportDiffersError, match=r"flow differs by [\d.]+ px"),
    ):
        export(small(DDFlowNet), path, "torch-export", (64, 128))
    assert [each.name for each in tmp_path.iterdir()] == ["net.pt2"]
    assert path.read_bytes() == b"an earlier export"


def test_the_written_file_is_what_is_checked(tmp_path: Path) -> None:
    """A writer that damages a correct program is found out, too: the check reads the file."""

    def write(program: Any, *rest: Any) -> None:
        for parameter in program.state_dict.values():
            parameter.data.mul_(1.01)
        formats.FORMATS["torch-export"].write(program, *rest)

    damaged = formats.Format(".pt2", lambda: None, write, formats.FORMATS["torch-export"].load)
    made = small(DDFlowNet)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    # The program shares the network's parameters, so the writer gets copies of them.
    with (
        mock.patch.dict(export_module.FORMATS, {"damaged": damaged}),
        mock.patch.object(export_module, "traced", lambda *args: _copied(trace.traced(*args))),
        pytest.raises(verify.ExportDiffersError, match="differs by"),
    ):
        export(made, tmp_path / "net.pt2", "damaged", (64, 128))
    assert not list(tmp_path.iterdir())
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


def _copied(program: Any) -> Any:
    for name, parameter in program.state_dict.items():
        program.state_dict[name] = nn.Parameter(parameter.detach().clone())
    return program


def test_wrong_shapes_and_missing_outputs_are_refused() -> None:
    graph = network.graph_of(small(DDFlowNet))

    def cropped(images: tuple[Tensor, ...]) -> list[Tensor]:
        return [flow[..., 1:] for flow in graph(*images)]

    def poisoned(images: tuple[Tensor, ...]) -> list[Tensor]:
        return [torch.full_like(flow, float("nan")) for flow in graph(*images)]

    for run, message in (
        (cropped, r"shape \(1, 2, 64, 127\), not \(1, 2, 64, 128\)"),
        (poisoned, "differs by nan px"),
        (lambda images: graph(*images)[:1], "1 outputs, not 2"),
    ):
        with pytest.raises(verify.ExportDiffersError, match=message):
            verify.verified(run, graph, (64, 128), dynamic=False)


def test_metadata_are_in_the_file(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.pt2"
    arguments = ["export", "--checkpoint", str(checkpoint), "--format", "torch-export", "--size", "64x128"]
    assert main([*arguments, "--output", str(path)]) == 0
    assert "differs from the network by at most" in capsys.readouterr().out
    extra = {formats.EXTRA: ""}
    torch.export.load(path, extra_files=extra)
    told = json.loads(extra[formats.EXTRA])
    assert told["flowdistill.model"] == "DDFlowNet"
    assert (told["flowdistill.rows"], told["flowdistill.columns"]) == ("64", "128")
    assert "px" in told["flowdistill.output.flow"]
    assert len(told["flowdistill.checkpoint_sha256"]) == 64
    assert len(told["flowdistill.weights_sha256"]) == 64
    assert told["flowdistill.commit"]
    assert told["flowdistill.width"] == "0.0625"
    # The same command twice: nothing is overwritten without being asked for.
    assert main([*arguments, "--output", str(path)]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_weights_alone(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "flow.safetensors"
    command = ["export", "--checkpoint", str(checkpoint), "--format", "safetensors", "--output", str(path)]
    assert main(command) == 0
    first, second = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    found = flowdistill.load(path, device="cpu").predict(first, second)["flow"]
    np.testing.assert_array_equal(
        found, flowdistill.load(checkpoint, device="cpu").predict(first, second)["flow"]
    )
    assert "filled all 98 tensors" in init_from(DDFlowNet(0.0625), path)
    with pytest.raises(UserError, match="width"):
        init_from(DDFlowNet(0.125), path)
    assert main([*command, "--overwrite", "--size", "64x64"]) == 2
    assert "do not apply" in capsys.readouterr().err
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged or not a"):
        flowdistill.load(path, device="cpu")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "last.ckpt"
    weights = {f"network.{name}": value for name, value in small(DDFlowNet).state_dict().items()}
    torch.save({"state_dict": weights, "hyper_parameters": {"width": 0.0625}}, path)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "64"], "give height x width in pixels"),
        ([], "--size is missing"),
        (["--size", "32x128"], "at least 64"),
        (["--size", "75x110", "--dynamic"], "use 128x128"),
        (["--size", "64x128", "--dynamic"], "at least 128"),
        (["--size", "64x128", "--output", "net.onnx"], "must end with .pt2"),
        (["--size", "64x128", "--output", "nowhere/net.pt2"], "does not exist"),
    ],
)
def test_mistakes_are_explained(
    checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    assert main(["export", "--checkpoint", str(checkpoint), "--format", "torch-export", *options]) == 2
    assert message in capsys.readouterr().err


def test_dwarf_needs_multiples_of_64(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"375x1242: DWARF needs multiples of 64; use 384x1280"):
        export(small(Dwarf), tmp_path / "net.pt2", "torch-export", (375, 1242))


def test_missing_packages_are_named_before_anything_is_computed(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with mock.patch.object(formats.importlib.util, "find_spec", return_value=None):
        code = main(["export", "--checkpoint", str(checkpoint), "--format", "onnx", "--size", "64x128"])
    assert code == 2
    assert "pip install 'flowdistill[export]'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        export(small(DDFlowNet), tmp_path / "gone" / "net.pt2", "torch-export", (64, 128))
