"""The formats of an exported network: writing an exported program to a file, and executing the file.

    onnx           a model for ONNX Runtime, OpenVINO, TensorRT
    torch-export   a program that `torch.export.load` reads, without flowdistill
    aotinductor    a compiled library that `torch._inductor.aoti_load_package` loads, for one kind of device

Metadata are strings: in ONNX's `metadata_props`, in a program's extra file `metadata.json`, in a library's metadata.
"""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from flowdistill.errors import UserError
from flowdistill.export.network import Graph
from flowdistill.export.trace import quiet
from flowdistill.export.verify import Run
from flowdistill.formats import write_atomically

OPSET = 18
EXTRA = "metadata.json"


@dataclass(frozen=True)
class Format:
    """How a format is written and executed."""

    suffix: str
    check: Callable[[], None]  # raises UserError if something that it needs is missing
    write: Callable[[ExportedProgram, Graph, Mapping[str, str], Path], None]
    load: Callable[[Path], Run]


def _check_onnx() -> None:
    missing = [
        name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise UserError(
            f"--format onnx needs {', '.join(missing)}: pip install 'flowdistill[export]' (the exported model is "
            "executed at once by ONNX Runtime)"
        )


def _write_onnx(program: ExportedProgram, graph: Graph, metadata: Mapping[str, str], path: Path) -> None:
    with quiet():
        exported = torch.onnx.export(
            program, (), None, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=list(graph.inputs), output_names=list(graph.outputs),
        )  # fmt: skip
    assert exported is not None
    exported.model.metadata_props.update(metadata)
    write_atomically(path, exported.model_proto.SerializeToString())


def _load_onnx(path: Path) -> Run:
    import onnxruntime

    # Its own threads keep spinning after a call; the network would be timed and run beside them.
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(images: tuple[Tensor, ...]) -> list[Tensor]:
        found = session.run(None, {name: image.numpy() for name, image in zip(names, images, strict=True)})
        return [torch.from_numpy(each) for each in found]

    return run


def _write_torch(program: ExportedProgram, graph: Graph, metadata: Mapping[str, str], path: Path) -> None:
    # Through memory: on a full disk, PyTorch's writer ends the process.
    content = io.BytesIO()
    with quiet():
        torch.export.save(program, content, extra_files={EXTRA: json.dumps(dict(metadata))})
    write_atomically(path, content.getbuffer())


def _load_torch(path: Path) -> Run:
    module = torch.export.load(path).module()
    return lambda images: module(*images)


def _check_aotinductor() -> None:
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        raise UserError("--format aotinductor compiles C++, but there is no compiler: install g++")


def _write_aotinductor(
    program: ExportedProgram, graph: Graph, metadata: Mapping[str, str], path: Path
) -> None:
    with quiet(), tempfile.TemporaryDirectory() as scratch:
        made = torch._inductor.aoti_compile_and_package(
            program,
            package_path=str(Path(scratch, "library.pt2")),
            inductor_configs={"aot_inductor.metadata": dict(metadata)},
        )
        write_atomically(path, Path(made).read_bytes())


def _load_aotinductor(path: Path) -> Run:
    library = torch._inductor.aoti_load_package(str(path))
    return lambda images: library(*images)


FORMATS = {
    "onnx": Format(".onnx", _check_onnx, _write_onnx, _load_onnx),
    "torch-export": Format(".pt2", lambda: None, _write_torch, _load_torch),
    "aotinductor": Format(".aoti.pt2", _check_aotinductor, _write_aotinductor, _load_aotinductor),
}
