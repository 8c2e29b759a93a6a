"""Time and peak memory of whole networks on a CPU, beside another version, the convolution ceiling and other runtimes.

   python benchmarks/inference.py                                  # DWARF at 384x1280, beside commit 18dc29e
   python benchmarks/inference.py --checkpoint last.ckpt           # trained weights instead of random ones
   python benchmarks/inference.py --model ddflow --size 320x896
   python benchmarks/inference.py --precision bf16-mixed           # only where the processor has a unit for it

Wall time of one image set, processes in turns. "of the ceiling" is the network's floating-point operations per second
over those of one large convolution, timed in the same process. ONNX Runtime and OpenVINO run the file that `flowdistill
export` writes, if they are installed, in processes of their own.

    image   # (1, 3, H, W) RGB in [0, 1]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from checkouts import (
    BEFORE,
    ROOT,
    ceiling_flops,
    ceiling_seconds,
    has_bfloat16_unit,
    processor,
    run_part,
    set_up_host,
)
from checkouts import sources as sources_of

SIZES = {"dwarf": "384x1280", "ddflow": "384x1280"}
IMAGES = {"dwarf": 4, "ddflow": 2}
RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=list(SIZES), default="dwarf")
    parser.add_argument("--against", default=BEFORE, help="a checkout or commit of flowdistill")
    parser.add_argument("--size", help="rows x columns, multiples of 64")
    parser.add_argument("--checkpoint", help="weights; by default random ones")
    parser.add_argument(
        "--images", type=int, default=5, help="timed image sets per process, after one untimed"
    )
    parser.add_argument("--rounds", type=int, default=3, help="processes per version, in turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="32-true", choices=["32-true", "bf16-mixed"])
    parser.add_argument("--no-runtimes", action="store_true", help="leave out ONNX Runtime and OpenVINO")
    parser.add_argument("--one", nargs=3, metavar=("NAME", "ROOT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.size = options.size or SIZES[options.model]
    if options.one:
        name, root, folder = options.one
        measured = measure_runtime if name in RUNTIMES else measure
        print(json.dumps(measured(name, Path(root), Path(folder), options)))
        return
    if options.precision != "32-true" and not has_bfloat16_unit():
        raise SystemExit(f"{processor()} has no unit for bfloat16: it would be emulated, which says nothing")
    print(f"{options.model}, {options.size}, {options.precision}, {options.threads} threads, {processor()}")
    with tempfile.TemporaryDirectory() as scratch:
        compare(Path(scratch), options)


def compare(scratch: Path, options: argparse.Namespace) -> None:
    """Time all in turns; print medians, spread, share of the ceiling, peak memory and differences."""
    versions = {"other": sources_of(options.against, scratch), "this": ROOT}
    if not options.no_runtimes and options.precision == "32-true":
        versions |= {name: ROOT for name in RUNTIMES if importlib.util.find_spec(name)}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in versions}
    passed = [
        f"--{name}={getattr(options, name)}" for name in ("model", "size", "images", "threads", "precision")
    ]
    passed += [f"--checkpoint={options.checkpoint}"] if options.checkpoint else []
    if set(versions) & set(RUNTIMES):
        run_part(__file__, ROOT, options.threads, ["--one", "export", str(ROOT), str(scratch), *passed])
    for _ in range(options.rounds):
        for name, root in versions.items():
            one = ["--one", name, str(root), str(scratch)]
            found[name].append(run_part(__file__, root, options.threads, [*one, *passed]))
    medians = {}
    flops = found["this"][0]["flops"]
    for name, runs in found.items():
        seconds = sorted(s for each in runs for s in each["seconds"])
        medians[name] = statistics.median(seconds)
        shares = [
            flops / statistics.median(each["seconds"]) / (ceiling_flops() / each["unit"]) for each in runs
        ]
        print(
            f"{RUNTIMES.get(name, name):12s} median {medians[name]:.3f} s ({seconds[0]:.3f}..{seconds[-1]:.3f}), "
            f"{medians[name] / medians['other']:.2f} of other, {statistics.median(shares):.2f} of the ceiling "
            f"({min(shares):.2f}..{max(shares):.2f}), peak {max(each['peak_gigabytes'] for each in runs):.2f} GB, "
            f"largest difference {difference(scratch, name):.1e} of the largest motion"
        )


def difference(folder: Path, name: str) -> float:
    """Return the largest difference of the level-2 motion from the other version's, relative to its largest value."""
    import numpy as np

    mine, other = np.load(folder / f"{name}.npy"), np.load(folder / "other.npy")
    return float(np.abs(mine - other).max() / np.abs(other).max())


def images(options: argparse.Namespace) -> list[Any]:
    """Return smooth images that move by a few pixels, the same in every process."""
    import torch

    rows, columns = map(int, options.size.split("x"))
    generator = torch.Generator().manual_seed(7)
    small = torch.rand(1, 3, rows // 8, columns // 8, generator=generator)
    image = torch.nn.functional.interpolate(small, (rows, columns), mode="bilinear")
    return [image.roll(shift, 3) for shift in (0, -6, 4, -2)[: IMAGES[options.model]]]


def network_of(options: argparse.Namespace) -> Any:
    """Return the network with random weights that give motions of some pixels, or those of the checkpoint."""
    import torch

    from flowdistill.networks import DDFlowNet, Dwarf

    torch.manual_seed(0)
    network = (Dwarf if options.model == "dwarf" else DDFlowNet)()
    if options.checkpoint:
        stored = torch.load(options.checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        prefix = "network."
        network.load_state_dict(
            {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
        )
    return network.eval()


def level_two(output: Any) -> Any:
    """Return the level-2 motion (1, C, h, w) of either network's output."""
    import torch

    if isinstance(output, tuple):
        return torch.cat([one.refined for one in output], dim=1)
    motion = output.levels[2]
    return torch.cat([motion.flow, motion.disparity_t0, motion.disparity_t1], dim=1)


def measure(name: str, root: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Time the network of this process's sources; or, for the name `export`, only write it as ONNX."""
    import numpy as np
    import torch

    set_up_host(root, predict=True)
    torch.set_num_threads(options.threads)
    network, inputs = network_of(options), images(options)
    if name == "export":
        return export(network, inputs, folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    half = options.precision != "32-true"
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        for _ in range(options.images + 1):
            started = time.perf_counter()
            output = network(*inputs)
            seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.save(folder / f"{name}.npy", level_two(output).float().numpy())
    return {
        "seconds": seconds[1:],
        "peak_gigabytes": peak / 2**20,
        "own_gigabytes": (peak - before) / 2**20,
        "unit": ceiling_seconds(),
        "flops": flops_of(network, inputs),
    }


def flops_of(network: Any, inputs: list[Any]) -> int:
    """Count the operations of the convolutions, by far the most."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return int(counter.get_total_flops())


def export(network: Any, inputs: list[Any], folder: Path) -> dict[str, Any]:
    """Write the network as ONNX, with level 2 as its output, by the functions of `flowdistill export`."""
    import torch

    from flowdistill.export.formats import FORMATS
    from flowdistill.export.network import graph_of
    from flowdistill.export.trace import traced

    class LevelTwo(torch.nn.Module):
        inputs = graph_of(network).inputs
        outputs = ("motion",)

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *images: Any) -> Any:
            return level_two(self.network(*images))

    program: Any = traced(LevelTwo().eval(), tuple(inputs), dynamic=False)  # type: ignore[arg-type]
    FORMATS["onnx"].write(program, LevelTwo(), {}, folder / "network.onnx")  # type: ignore[arg-type]
    return {}


def measure_runtime(name: str, root: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Time another runtime on the exported file."""
    import numpy as np

    given = [image.numpy() for image in images(options)]
    run = {"onnxruntime": _onnxruntime, "openvino": _openvino}[name](
        str(folder / "network.onnx"), options.threads
    )
    seconds = []
    for _ in range(options.images + 1):
        started = time.perf_counter()
        found = run(given)
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.save(folder / f"{name}.npy", found)
    return {"seconds": seconds[1:], "peak_gigabytes": peak / 2**20, "unit": ceiling_seconds()}


def _onnxruntime(path: str, threads: int) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda given: session.run(None, dict(zip(names, given, strict=True)))[0]


def _openvino(path: str, threads: int) -> Any:
    import openvino

    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", hints)
    return lambda given: compiled(given)[0]


if __name__ == "__main__":
    sys.exit(main())
