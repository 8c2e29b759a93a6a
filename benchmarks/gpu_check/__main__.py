"""Checks that need a GPU: exactness, bitwise reproducibility, times against the byte floor and a peer, training steps.

    python benchmarks/gpu_check            # `make gpu-check`: under 8 minutes; writes docs/kernels.md
    python benchmarks/gpu_check --quick    # one shape per operator, no training steps

Without a GPU, it writes the counted floors and a note that nothing was measured. `--device cpu` tests the script.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from exactness import LIMITS, errors, repeats
from operators import OPERATORS, Shape
from report import table, write
from steps import MODELS, SETTINGS, step
from timing import copy_bandwidth, draw, loop_over_shifts, median_seconds, peer, times

import flowkernels

PAGE = Path(__file__).parents[2] / "docs" / "kernels.md"
BAR_SHAPE: Shape = (4, 32, 96, 320)
BAR_FORWARD, BAR_BACKWARD = 0.5, 3.0  # fraction of the copy bandwidth, multiple of the floor
NOTHING = (
    "Nothing was measured: no GPU was at hand. `make gpu-check` on a machine with one fills this part in.\n"
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write the tables to")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        write(options.page, NOTHING)
        print(f"no GPU here: {options.page} contains counted floors only")
        return 0
    check = Check(options.device, options.quick)
    parts = [check.machine(), check.exactness(), check.speed()]
    if not options.quick:
        parts.append(check.steps())
    parts.append(check.verdict())
    write(options.page, "\n\n".join(parts) + "\n")
    print(parts[-1])
    return 1 if check.failures else 0


class Check:
    """Run the parts one after the other and collect failures."""

    def __init__(self, device: str, quick: bool) -> None:
        self.device, self.quick = device, quick
        self.failures: list[str] = []
        self.started = time.perf_counter()
        # The backend is not forced: float64, the reference, has no kernels.
        if device == "cuda" and flowkernels.backend(device).name != "triton":
            self.failures.append(f"the kernels do not run here: {flowkernels.backend(device)}")

    def shapes(self, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if self.device == "cpu":
            return tuple((1, c, min(h, 12), min(w, 20)) for _, c, h, w in shapes[:1])
        return shapes[:1] if self.quick else shapes

    def say(self, text: str) -> None:
        print(f"[{time.perf_counter() - self.started:5.0f} s] {text}", flush=True)

    def machine(self) -> str:
        name = torch.cuda.get_device_name() if self.device == "cuda" else "a CPU (a trial of this script)"
        self.bandwidth = copy_bandwidth(self.device)
        self.say(f"{name}: copies at {self.bandwidth / 1e12:.2f} TB/s")
        return (
            f"{name}, torch {torch.__version__}, backend {flowkernels.backend(self.device)}; a large copy runs at "
            f"{self.bandwidth / 1e12:.2f} TB/s."
        )

    def exactness(self) -> str:
        rows = []
        for operator in OPERATORS:
            for shape in self.shapes(operator.shapes):
                cells = []
                for dtype, limit in LIMITS.items():
                    worst = max(errors(operator, shape, dtype, self.device))
                    cells.append(f"{worst:.1e}")
                    if not worst <= limit:
                        self.failures.append(
                            f"{operator.name} {shape} {dtype}: error {worst:.1e}, limit {limit:.0e}"
                        )
                runs = 100 if shape == operator.shapes[0] else 5
                same = repeats(
                    operator, shape, torch.float32, self.device, runs if self.device == "cuda" else 3
                )
                if not same:
                    self.failures.append(f"{operator.name} {shape}: {runs} runs differ in their bits")
                rows.append([operator.name, "x".join(map(str, shape)), *cells, "yes" if same else "NO"])
            self.say(f"{operator.name}: exactness")
        header = ["operator", "shape", "fp32", "fp16", "bf16", "same bits"]
        title = "Largest error to float64, of output and gradients, relative to the largest value:"
        return f"{title}\n\n{table(header, rows)}"

    def speed(self) -> str:
        rows = []
        for operator in OPERATORS:
            for shape in self.shapes(operator.shapes):
                for dtype in (torch.float32, torch.bfloat16):
                    forward, backward = times(operator, shape, dtype, self.device)
                    floors = [b / self.bandwidth for b in operator.floor_bytes(shape, dtype)]
                    rows.append(
                        [
                            operator.name, "x".join(map(str, shape)), str(dtype).removeprefix("torch."),
                            f"{1e6 * forward:.1f}", f"{forward / floors[0]:.1f}",
                            f"{1e6 * backward:.1f}", f"{backward / floors[1]:.1f}",
                        ]
                    )  # fmt: skip
                    if (operator.name, shape, dtype) == ("correlation_2d", BAR_SHAPE, torch.float32):
                        self._hold_bars(forward, backward, floors)
            self.say(f"{operator.name}: times")
        header = ["operator", "shape", "dtype", "forward us", "x floor", "backward us", "x floor"]
        return (
            "Median times; \"x floor\" is the time over that of a copy of the same bytes:\n\n"
            + table(header, rows) + "\n\n" + self._beside_peers()
        )  # fmt: skip

    def _hold_bars(self, forward: float, backward: float, floors: list[float]) -> None:
        if floors[0] / forward < BAR_FORWARD:
            self.failures.append(
                f"correlation_2d forward reaches {floors[0] / forward:.2f} of the copy bandwidth"
            )
        if backward / floors[1] > BAR_BACKWARD:
            self.failures.append(f"correlation_2d backward takes {backward / floors[1]:.1f} times its floor")

    def _beside_peers(self) -> str:
        x, y = draw(OPERATORS[0], self.shapes((BAR_SHAPE,))[0], torch.float32, self.device)
        other = peer() if self.device == "cuda" else None
        with torch.no_grad():
            ours = median_seconds(lambda: flowkernels.correlation_2d(x, y), self.device)
            loop = median_seconds(lambda: loop_over_shifts(x, y), self.device)
            theirs = median_seconds(lambda: other(x, y), self.device) if other else None
        text = f"correlation_2d forward at {tuple(x.shape)}: loop over shifts / ours {loop / ours:.1f}; "
        if theirs is None:
            return text + "localcorr is not installed (pip install localcorr)."
        if theirs < ours:
            self.failures.append(
                f"localcorr's kernel is faster: {1e6 * theirs:.0f} us, ours {1e6 * ours:.0f} us"
            )
        return text + f"localcorr / ours {theirs / ours:.2f}."

    def steps(self) -> str:
        rows = []
        size = (64, 128) if self.device == "cpu" else None
        for model in MODELS:
            for setting in SETTINGS if self.device == "cuda" else list(SETTINGS)[:1]:
                found = step(model, setting, self.device, size, 4 if self.device == "cpu" else 20)
                numbers = (
                    f"{found['milliseconds']:.0f}",
                    f"{found['gigabytes']:.2f}",
                    f"{found['first']:.0f}",
                )
                rows.append([model, setting, *numbers])
                self.say(f"{model}, {setting}: {found['milliseconds']:.0f} ms per step")
        header = ["model", "setting", "ms per step", "peak GB", "first step s"]
        return "A training step at the published crop:\n\n" + table(header, rows)

    def verdict(self) -> str:
        if self.failures:
            return "Failed:\n\n" + "\n".join(f"* {failure}" for failure in self.failures)
        return f"All bars hold ({time.perf_counter() - self.started:.0f} s)."


if __name__ == "__main__":
    sys.exit(main())
