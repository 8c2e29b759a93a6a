"""Tiny numbers become zeros in every thread of a process, and only if asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import torch
from flowdistill.host_arithmetic import flush_denormals

if sys.argv[1] == "flush":
    print(flush_denormals())
tiny = torch.full((1 << 22,), 1e-30)  # enough for several threads
print(int((tiny * 1e-12 != 0).sum()))
"""


def run(how: str) -> list[str]:
    command = [sys.executable, "-c", SCRIPT, how]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_products_below_the_normal_range() -> None:
    flushed = run("flush")
    if flushed[0] == "False":
        pytest.skip("this processor cannot flush denormal numbers")
    assert flushed == ["True", "0"]
    assert run("leave") == [str(1 << 22)]
