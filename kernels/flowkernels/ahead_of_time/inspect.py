"""Resource usage of a compiled kernel: registers, spills, shared memory, and the most expensive instructions."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import triton

_TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9_.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Resources:
    """Resource counts of one kernel; instructions are counted statically (a loop's body once)."""

    registers: int  # per thread
    spills: int  # loads and stores of local memory, and bytes of stack
    shared: int  # bytes per program
    fma: int  # float32 fused multiply-adds
    loads_128: int
    loads_64: int
    loads_32: int
    loads_16: int
    float_atomics: int
    instructions: int

    @property
    def fma_per_word(self) -> float:
        """Multiply-adds per 4-byte word that a thread loads from global memory."""
        words = 4 * self.loads_128 + 2 * self.loads_64 + self.loads_32 + self.loads_16 / 2
        return self.fma / words if words else 0.0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def inspect_cubin(cubin: bytes, shared: int) -> Resources:
    """Read a cubin with the disassembler that comes with Triton."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        usage = _run("cuobjdump", "-res-usage", path)
        listing = _run("nvdisasm", "-c", path)
    return count(usage, listing, shared)


def count(usage: str, listing: str, shared: int) -> Resources:
    """Parse the counts from a resource report and a disassembly."""
    registers, stack = (_number(key, usage) for key in ("REG", "STACK"))
    found = Counter(_INSTRUCTION.findall(listing))
    if not found:
        raise ValueError("the disassembly contains no instructions; has nvdisasm's format changed?")

    def total(*names: str, having: str = "") -> int:
        return sum(n for op, n in found.items() if op.split(".")[0] in names and having in f".{op}.")

    loads = total("LDG")
    wide = {bits: total("LDG", having=f".{bits}.") for bits in (128, 64)}
    narrow = sum(total("LDG", having=f".{kind}.") for kind in ("U16", "S16", "U8", "S8"))
    return Resources(
        registers=registers,
        spills=stack + total("LDL", "STL"),
        shared=shared,
        fma=total("FFMA") + 2 * total("FFMA2"),
        loads_128=wide[128],
        loads_64=wide[64],
        loads_32=loads - wide[128] - wide[64] - narrow,
        loads_16=narrow,
        float_atomics=sum(
            total("RED", "REDG", "ATOM", "ATOMG", having=f".{kind}.")
            for kind in ("F32", "F16", "F16x2", "F64", "BF16")
        ),
        instructions=sum(found.values()),
    )


def _number(key: str, text: str) -> int:
    match = re.search(rf"\b{key}:(\d+)", text)
    if match is None:
        raise ValueError(f"the resource report has no {key}; has cuobjdump's format changed?")
    return int(match.group(1))


def _run(tool: str, *arguments: str | Path) -> str:
    done = subprocess.run([_TOOLS / tool, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{tool} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
