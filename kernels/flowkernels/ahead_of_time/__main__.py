"""Compile every kernel variant for every supported GPU; fail on a spill or a regression."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

# The interpreter would replace the compiler; a cache would hide that a kernel no longer compiles.
os.environ.pop("TRITON_INTERPRET", None)

CLAIMED = (80, 90, 100)
BEST_EFFORT = (75,)


def main(arguments: list[str] | None = None) -> int:
    """Return exit status 0 if every variant compiles within its own limits and those of the table."""
    parser = argparse.ArgumentParser(prog="python -m flowkernels.ahead_of_time", description=__doc__)
    parser.add_argument("table", type=Path, help="the committed table, a JSON file")
    parser.add_argument(
        "--update", action="store_true", help="rewrite the table instead of comparing with it"
    )
    parser.add_argument("--only", default="", help="compile only variants whose name contains this text")
    parser.add_argument("--targets", type=int, nargs="+", default=[*CLAIMED, *BEST_EFFORT])
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    from flowkernels.ahead_of_time.all_variants import all_variants
    from flowkernels.ahead_of_time.table import read_table, write_table
    from flowkernels.ahead_of_time.work import examine, own_cache

    table = read_table(options.table)
    names = [name for name in all_variants() if options.only in name]
    if not names:
        print(f"no variant name contains {options.only!r}", file=sys.stderr)
        return 2
    work = [
        (name, target, table.get(f"sm_{target}", {}).get(name))
        for target in options.targets
        for name in names
    ]
    started = time.perf_counter()
    failed, beyond = 0, list[str]()
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), own_cache) as pool:
        for (name, target, _), (counts, wrong) in zip(
            work, pool.map(examine, *zip(*work, strict=True)), strict=True
        ):
            if options.update:
                wrong = [fault for fault in wrong if "the table" not in fault]
                if counts:
                    table.setdefault(f"sm_{target}", {})[name] = counts
            if wrong and target in BEST_EFFORT:
                beyond.append(f"{name}: {'; '.join(wrong)}")
            elif wrong:
                failed += 1
                print(f"FAILED: sm_{target} {name}: {'; '.join(wrong)}")
    if options.update:
        if not options.only:
            table = {
                f"sm_{t}": {n: c for n, c in table[f"sm_{t}"].items() if n in names} for t in options.targets
            }
        write_table(options.table, table)
    if beyond:
        targets = ", ".join(f"sm_{target}" for target in BEST_EFFORT)
        print(f"{targets} (best effort): {len(beyond)} variants exceed their limits, first: {beyond[0]}")
    seconds = time.perf_counter() - started
    print(f"{len(names)} kernel variants for {len(options.targets)} GPUs in {seconds:.0f} s: {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
