"""Tiny numbers become zeros in every thread of a process, and only if asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from flowdistill.cli.flowdistill import main

SCRIPT = """
import contextlib
import sys
import torch
from flowdistill.host_arithmetic import denormals_flushed

def products():
    tiny = torch.full((1 << 22,), 1e-30)  # enough for several threads
    return int((tiny * 1e-12 != 0).sum())

with denormals_flushed() if sys.argv[1] == "flush" else contextlib.nullcontext():
    print(products())
print(float(torch.tensor(1e-30) * 1e-12) != 0)  # in the main thread, afterwards
"""


def run(how: str) -> list[str]:
    command = [sys.executable, "-c", SCRIPT, how]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_products_below_the_normal_range() -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot flush denormal numbers")
    assert run("flush") == ["0", "True"]
    assert run("leave") == [str(1 << 22), "True"]


def test_commands_leave_the_arithmetic_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["infer", "gone.png", "--checkpoint", "gone.ckpt", "--output", "gone"]) == 2
    assert "gone.ckpt" in capsys.readouterr().err
    assert float(torch.tensor(1e-30) * 1e-12) != 0
