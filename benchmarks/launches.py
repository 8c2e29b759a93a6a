"""Kernels that one training step launches on a GPU, by part of the step, and with `torch.compile`.

    python benchmarks/launches.py               # every published stage, through a real Trainer
    python benchmarks/launches.py --compiled    # also the kernels of each compiled network

No GPU is needed: the operators of a step on the CPU are counted, whose number does not depend on the images' size. An
operator counts as one kernel, with these exceptions: flowkernels' operators count their Triton launches, lists of
tensors count the launches of PyTorch's multi-tensor kernels, and views and allocations launch nothing. (A convolution
is one to three cuDNN kernels, counted as one.) "waits" are reads of a device value by the host, "copies" are constants
that would be copied from the host to the device.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from flowdistill.networks import DDFlowNet, Dwarf
from flowdistill.training import AverageTeacher, DDFlowModule, DwarfModule

LIMIT = 2000
SIZE, CROP = (128, 256), (64, 128)  # rows, columns: the count is the same at any size
OWN = {
    "correlation": 1,
    "correlation_backward": 2,
    "warp": 1,
    "warp_backward": 5,
    "census": 1,
    "census_backward": 1,
    "normalise": 1,
    "normalise_backward": 1,
}
# Operators that read a device's values on the host; operators that create a tensor from Python numbers.
WAITS = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "unique", "_unique2")
COPIES = ("lift_fresh", "lift_fresh_copy")
NOTHING = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "_unsafe_view")
# PyTorch's multi-tensor kernels: elements per block, blocks per launch, tensors per launch for 1, 2, ... lists.
CHUNK, BLOCKS, TENSORS = 65536, 320, (110, 64, 48, 36, 30)
MODELS: dict[str, Callable[[], pl.LightningModule]] = {
    "DWARF pre-training": lambda: DwarfModule(
        "dense_multilevel", {2: 0.005, 3: 0.01, 4: 0.02, 5: 0.08, 6: 0.32}
    ),
    "DWARF KITTI": lambda: DwarfModule("sparse_full_resolution", {2: 0.001}),
    "DDFlow stage 1": lambda: DDFlowModule({"abs_robust_mean_no_occlusion": 1.0}),
    "DDFlow stage 2": lambda: DDFlowModule({"census_occlusion": 1.0}),
    "DDFlow stage 3": lambda: DDFlowModule(
        {"census_occlusion": 1.0, "distillation": 1.0}, teacher=AverageTeacher(), student_crop=CROP
    ),
}


class Launches(TorchDispatchMode):
    """Count kernels, waits and copies of the executed operators, by part."""

    def __init__(self) -> None:
        super().__init__()
        self.part = "rest"
        self.counts: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()
        self.names: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.partition("::")[2]
        launched = kernels(func, name, args)
        self.counts[self.part] += launched
        self.names[self.part, name] += launched
        # Adam's step counters are on the CPU for any device of the weights.
        if self.part != "optimiser":
            self.waits[self.part] += name in WAITS
            self.copies[self.part] += name in COPIES
        return result

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        before, self.part = self.part, part
        try:
            yield
        finally:
            self.part = before

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            with self.of(part):
                return function(*args, **kwargs)

        return run


def kernels(func: Any, name: str, args: tuple[Any, ...]) -> int:
    """Return the number of kernels that an operator launches on a GPU."""
    if func.namespace == "flowkernels":
        return OWN[name]
    if name in NOTHING or name in WAITS or name in COPIES or _is_view(func):
        return 0
    if name.startswith("_foreach"):
        lists = [value for value in args if isinstance(value, list | tuple) and isinstance(value[0], Tensor)]
        if all(tensor.dim() == 0 for tensor in lists[0]):
            return 0  # Adam's step counters again
        depth = len(lists) + (not name.endswith("_"))  # results are one more list
        return multi_tensor_launches([tensor.numel() for tensor in lists[0]], depth)
    return 1


def _is_view(func: Any) -> bool:
    returned = func._schema.returns
    alias = returned[0].alias_info if returned else None
    return alias is not None and not alias.is_write


def multi_tensor_launches(sizes: list[int], depth: int) -> int:
    """Return the launches of one of PyTorch's multi-tensor kernels (ATen/native/cuda/MultiTensorApply.cuh)."""
    most = TENSORS[min(depth, len(TENSORS)) - 1]
    launched = tensors = blocks = 0
    for size in sizes:
        tensors += 1
        for _ in range(-(-size // CHUNK)):
            blocks += 1
            if blocks == BLOCKS:
                launched, blocks, tensors = launched + 1, 0, 1
        if tensors == most and blocks:
            launched, blocks, tensors = launched + 1, 0, 0
    return launched + (blocks > 0)


class Parts(pl.Callback):
    """Count the second step of a run: the first one fills caches and creates the optimiser's state."""

    def __init__(self) -> None:
        self.launches = Launches()

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        for group in trainer.optimizers[0].param_groups:
            group["foreach"] = True  # PyTorch's own choice on a GPU
        launches = self.launches
        module.network.forward = launches.around("network", module.network.forward)
        for name in ("squared_weights", "l2_regulariser"):
            home = sys.modules[type(module).__module__]
            if hasattr(home, name):
                setattr(home, name, launches.around("regulariser", getattr(home, name)))
        if getattr(module, "teacher", None) is not None:
            module.teacher.labels = launches.around("teacher", module.teacher.labels)
            module.teacher.after_step = launches.around("teacher", module.teacher.after_step)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == 1:
            self.launches.part = "losses"
            self.launches.__enter__()

    def on_before_backward(self, *_: Any) -> None:
        self.launches.part = "backward"

    def on_after_backward(self, *_: Any) -> None:
        self.launches.part = "optimiser"

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == 2:
            self.launches.__exit__(None, None, None)


def batch() -> dict[str, Any]:
    """Return a batch of one sample with every label."""
    images = {name: torch.rand(1, 3, *SIZE) for name in ("left_t0", "right_t0", "left_t1", "right_t1")}
    labels = {"flow": torch.rand(1, 2, *SIZE), **{f"disparity_t{t}": torch.rand(1, 1, *SIZE) for t in (0, 1)}}
    valid = {f"valid_{name}": torch.ones(1, 1, *SIZE, dtype=torch.bool) for name in labels}
    return {**images, **labels, **valid, "name": ["sample"]}


def one_step(model: pl.LightningModule) -> Launches:
    parts = Parts()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=2, max_epochs=-1, logger=False, callbacks=[parts],
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            log_every_n_steps=1000, default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(model, torch.utils.data.DataLoader([batch()] * 2, batch_size=None))
    return parts.launches


def compiled_kernels(network: torch.nn.Module, images: Tensor) -> list[int]:
    """Count kernels of the compiled network, forward and backward: Inductor's loops, library and flowkernels calls."""
    from torch._inductor.utils import run_fw_bw_and_get_code

    def loss() -> Tensor:
        output = network(*images)
        levels = output.levels.values() if hasattr(output, "levels") else [each.full for each in output]
        maps = [
            value
            for each in levels
            for value in ([each] if isinstance(each, Tensor) else vars(each).values())
        ]
        return torch.stack([value.abs().mean() for value in maps]).sum()

    # Without the cache of an earlier run, which would return the code without generating it.
    with torch._inductor.config.patch(force_disable_caches=True):
        network.compile(fullgraph=True)
        _, codes = run_fw_bw_and_get_code(loss)
    call = re.compile(
        r"^\s+(?:\w+ = )?(cpp_fused\w*|extern_kernels\.\w+|torch\.ops\.(?:aten|flowkernels)\.\w+)", re.M
    )
    found = [[name.rpartition(".")[2] for name in call.findall(code)] for code in codes]
    return [sum(OWN.get(name, 1) for name in names) for names in found]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument(
        "--names", action="store_true", help="also print the operators with the most launches"
    )
    parser.add_argument(
        "--compiled", action="store_true", help="also count the kernels of each compiled network"
    )
    options = parser.parse_args()
    pl.seed_everything(0, verbose=False)
    columns = ("network", "losses", "teacher", "regulariser", "backward", "optimiser")
    print(f"{'':20s}" + "".join(f"{name:>12s}" for name in (*columns, "together", "waits", "copies")))
    for name in options.models:
        found = one_step(MODELS[name]())
        numbers = [found.counts[part] for part in columns]
        total = found.counts.total()
        numbers += [total, found.waits.total(), found.copies.total()]
        mark = "" if total <= LIMIT else f"   more than {LIMIT}"
        print(f"{name:20s}" + "".join(f"{number:12,d}" for number in numbers) + mark)
        if options.names:
            for (part, operator), number in found.names.most_common(24):
                print(f"    {part:12s} {operator:36s} {number:5d}")
    if options.compiled:
        for name, network, count in (("DWARF", Dwarf(), 4), ("DDFlow", DDFlowNet(), 2)):
            started = time.monotonic()
            forward, backward = compiled_kernels(network, torch.rand(count, 1, 3, *SIZE))
            seconds = time.monotonic() - started
            print(
                f"{name}'s network compiled for the CPU ({seconds:.0f} s): {forward} forward, {backward} backward"
            )


if __name__ == "__main__":
    main()
