"""The checks of `make kernels`: counts from a disassembly, and the conditions of failure."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is for Linux")

from flowkernels.ahead_of_time.inspect import Resources, count
from flowkernels.ahead_of_time.table import faults
from flowkernels.triton_kernels.variant import Variant

GOOD = Resources(
    registers=100, spills=0, shared=0, fma=36, loads_128=4, loads_64=0, loads_32=0, loads_16=0, float_atomics=0,
    instructions=200,
)  # fmt: skip
VARIANT = Variant("v", None, {}, {}, max_registers=128, vector_loads=True)
COMMITTED = GOOD.as_dict()

# A kernel that spills registers, one with float atomics, and one without faults.
KERNELS = """
import triton, triton.language as tl

@triton.jit
def hoards(x, y, N: tl.constexpr):
    i = tl.arange(0, 4096)
    kept = ()
    for k in tl.static_range(N):
        kept = kept + (tl.load(x + k * 4096 + i),)
    tl.debug_barrier()
    total = tl.zeros((4096,), tl.float32)
    for k in tl.static_range(N):
        total = total * kept[N - 1 - k] + kept[k]
    tl.store(y + i, total)

@triton.jit
def adds_floats(x, y, N: tl.constexpr):
    i = tl.arange(0, 128)
    tl.atomic_add(y + i // N, tl.load(x + i))

@triton.jit
def doubles(x, y, N: tl.constexpr):
    i = tl.arange(0, 512)
    tl.store(y + i, tl.load(x + i) * N)
"""
EXAMINE = """
import os
os.environ.pop("TRITON_INTERPRET", None)
import kernels_under_test as k
from flowkernels.ahead_of_time.compile import compile_variant
from flowkernels.ahead_of_time.inspect import inspect_cubin
from flowkernels.triton_kernels.variant import Variant
for name, n in (("hoards", 16), ("adds_floats", 2), ("doubles", 2)):
    variant = Variant(name, getattr(k, name), {"x": "*fp32", "y": "*fp32"}, {"N": n}, ("x", "y"))
    found = inspect_cubin(*compile_variant(variant, 90))
    print(name, found.spills > 0, found.float_atomics > 0, found.loads_128, found.registers > 0)
"""


def test_real_kernels_are_read_right(tmp_path: Path) -> None:
    (tmp_path / "kernels_under_test.py").write_text(KERNELS)
    (tmp_path / "examine.py").write_text(EXAMINE)
    root = Path(__file__).parents[2]
    paths = [str(tmp_path), str(root / "kernels"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "TRITON_CACHE_DIR": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [sys.executable, str(tmp_path / "examine.py")],
        capture_output=True, text=True, env=environment, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:3] == [
        "hoards True False 128 True",
        "adds_floats False True 0 True",
        "doubles False False 1 True",
    ]


def test_a_disassembly_is_counted() -> None:
    listing = """
        /*0010*/                   LDG.E.128 R4, desc[UR4][R2.64] ;
        /*0020*/              @!P0 LDG.E.64.CONSTANT R4, desc[UR4][R2.64] ;
        /*0030*/                   LDG.E R4, desc[UR4][R2.64] ;
        /*0040*/                   LDG.E.U16 R4, desc[UR4][R2.64] ;
        /*0050*/                   FFMA R4, R4, R5, R6 ;
        /*0060*/                   STL [R1], R4 ;
        /*0070*/                   REDG.E.ADD.64.STRONG.GPU desc[UR4][R2.64], R4 ;
        /*0080*/                   REDG.E.ADD.F32.FTZ.RN.STRONG.GPU desc[UR4][R2.64], R4 ;
    """
    found = count("REG:40 STACK:8 SHARED:0", listing, 16)
    expected = Resources(40, 9, 16, fma=1, loads_128=1, loads_64=1, loads_32=1, loads_16=1, float_atomics=1,
                         instructions=8)  # fmt: skip
    assert found == expected
    assert found.fma_per_word == pytest.approx(1 / 7.5)
    with pytest.raises(ValueError, match="no instructions"):
        count("REG:40 STACK:8", "nothing", 0)


def test_a_kernel_within_its_limits_has_no_fault() -> None:
    assert faults(VARIANT, GOOD, COMMITTED) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"spills": 4}, "spills"),
        ({"registers": 129}, "129 registers, limit 128"),
        ({"registers": 109}, "109 registers, the table has 100"),
        ({"shared": 16}, "16 bytes of shared memory, the table has 0"),
        ({"float_atomics": 1}, "float atomics"),
        ({"loads_32": 1}, "all must be 128"),
        ({"loads_128": 0}, "all must be 128"),
        ({"fma": 35}, "2.19 FMA per loaded word"),
    ],
)
def test_each_fault_is_named(change: dict[str, int], complaint: str) -> None:
    assert any(complaint in fault for fault in faults(VARIANT, replace(GOOD, **change), COMMITTED))


def test_a_kernel_that_the_table_lacks_is_a_fault() -> None:
    assert faults(VARIANT, GOOD, None) == ["not in the table; add it with --update"]
