"""The committed table of each kernel's resource usage, and the checks against it.

{"sm_90": {"correlation_forward/fp32/W4": {"registers": 172, ...}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from flowkernels.ahead_of_time.inspect import Resources
from flowkernels.triton_kernels.variant import Variant

Table = dict[str, dict[str, dict[str, int]]]  # target -> variant -> counts
MIN_FMA_PER_WORD = 2.25  # of the correlation's float32 forward
# Registers that a different choice of the compiler may add before it counts as a regression.
SLACK = 8


def read_table(path: Path) -> Table:
    return json.loads(path.read_text()) if path.exists() else {}


def write_table(path: Path, table: Table) -> None:
    """Write the table with one line per variant, so that diffs are readable."""
    targets = []
    for target, variants in sorted(table.items()):
        lines = [f"  {json.dumps(name)}: {json.dumps(counts)}" for name, counts in sorted(variants.items())]
        targets.append(f" {json.dumps(target)}: {{\n" + ",\n".join(lines) + "\n }")
    path.write_text("{\n" + ",\n".join(targets) + "\n}\n")


def faults(variant: Variant, found: Resources, committed: Mapping[str, int] | None) -> list[str]:
    """Return the problems of a compiled variant: exceeded limits, and regressions against the table."""
    wrong = []
    if found.spills:
        wrong.append(f"spills ({found.spills})")
    if found.float_atomics:
        wrong.append(
            f"{found.float_atomics} float atomics: their order, and hence the result, varies between runs"
        )
    if found.registers > variant.max_registers:
        wrong.append(f"{found.registers} registers, limit {variant.max_registers}")
    if variant.vector_loads:
        if found.loads_32 or not found.loads_128:
            wrong.append(f"{found.loads_32} loads of 32 bits and {found.loads_128} of 128: all must be 128")
        if found.fma_per_word < MIN_FMA_PER_WORD:
            wrong.append(f"{found.fma_per_word:.2f} FMA per loaded word, at least {MIN_FMA_PER_WORD}")
    if committed is None:
        wrong.append("not in the table; add it with --update")
    else:
        if found.registers > committed["registers"] + SLACK:
            wrong.append(f"{found.registers} registers, the table has {committed['registers']}")
        if found.shared > committed["shared"]:
            wrong.append(f"{found.shared} bytes of shared memory, the table has {committed['shared']}")
    return wrong
