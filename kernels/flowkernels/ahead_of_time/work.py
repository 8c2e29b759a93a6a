"""Work of one process: compile a variant, read its machine code, compare it with the table."""

from __future__ import annotations

import os
import tempfile

from triton import CompilationError

from flowkernels.ahead_of_time.all_variants import all_variants
from flowkernels.ahead_of_time.compile import compile_variant
from flowkernels.ahead_of_time.inspect import inspect_cubin
from flowkernels.ahead_of_time.table import faults

_cache: tempfile.TemporaryDirectory[str] | None = None


def own_cache() -> None:
    """Use a fresh compilation cache in this process, removed when the process ends."""
    global _cache
    _cache = tempfile.TemporaryDirectory(prefix="flowkernels-")
    os.environ["TRITON_CACHE_DIR"] = _cache.name


def examine(
    name: str, target: int, committed: dict[str, int] | None
) -> tuple[dict[str, int] | None, list[str]]:
    variant = all_variants()[name]
    try:
        resources = inspect_cubin(*compile_variant(variant, target))
    except (CompilationError, RuntimeError) as error:
        return None, [f"does not compile: {_short(error)}"]
    return resources.as_dict(), faults(variant, resources, committed)


def _short(error: Exception) -> str:
    """Return a compiler error without the quoted source."""
    lines = [line.strip() for line in f"{error}\n{error.__cause__ or ''}".splitlines() if line.strip(" ^")]
    return f"{lines[0]} ... {lines[-1]}"
