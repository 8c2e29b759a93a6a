"""Selection of the implementation, and the error if it cannot run."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

import flowkernels
from flowdistill.cli.exit_codes import report_user_errors
from flowkernels.backend import use_triton


@pytest.fixture(autouse=True)
def automatic() -> Iterator[None]:
    yield
    flowkernels.set_backend("auto")


def test_a_cpu_runs_plain_pytorch_and_says_why() -> None:
    assert flowkernels.backend("cpu") == ("torch", flowkernels.backend("cpu").reason)
    assert str(flowkernels.backend("cpu")).startswith("torch (a CPU has no Triton kernels")


def test_a_gpu_runs_triton_but_for_float64() -> None:
    pytest.importorskip("triton", reason="Triton is for Linux")
    assert flowkernels.backend("cuda").name == "triton"
    assert flowkernels.backend("cuda", torch.bfloat16).name == "triton"
    assert flowkernels.backend("cuda", torch.float64) == ("torch", "no Triton kernels for torch.float64")
    assert flowkernels.backend("mps") == ("torch", "no Triton kernels for mps")


def test_plain_pytorch_can_be_chosen() -> None:
    flowkernels.set_backend("torch")
    assert flowkernels.backend("cuda").name == "torch"


@pytest.mark.parametrize(("device", "dtype"), [("cuda", torch.float64), ("mps", torch.float32)])
def test_triton_is_never_replaced_in_silence(device: str, dtype: torch.dtype) -> None:
    flowkernels.set_backend("triton")
    with pytest.raises(
        flowkernels.BackendError, match=r"was requested but cannot run here: no Triton kernels for"
    ):
        flowkernels.backend(device, dtype)
    with pytest.raises(flowkernels.BackendError, match=r"no Triton kernels for torch\.float64"):
        use_triton(torch.zeros(1, dtype=torch.float64))


def test_an_unknown_choice_is_an_error() -> None:
    with pytest.raises(flowkernels.BackendError, match="one of auto, triton, torch, got 'cuda'"):
        flowkernels.set_backend("cuda")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"), [("cuda", "FLOWKERNELS_BACKEND must be one of auto"), ("triton", "a CPU")]
)
def test_the_environments_choice_is_checked_at_first_use(value: str, text: str) -> None:
    code = (
        "import sys, torch, flowkernels\n"
        "from flowdistill.cli.exit_codes import report_user_errors\n"
        "image = torch.zeros(1, 2, 4, 4)\n"
        "sys.exit(report_user_errors(lambda: int(flowkernels.warp_zero(image, image).sum())))"
    )
    environment = os.environ | {"FLOWKERNELS_BACKEND": value, "TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_other_runtime_errors_keep_their_traceback() -> None:
    def fail() -> int:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        report_user_errors(fail)
