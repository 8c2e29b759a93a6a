"""The warp Triton kernels against the float64 definition: in Triton's interpreter, or on a GPU."""

import os

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

pytest.importorskip("triton", reason="Triton is for Linux")

from flowkernels.definitions import warp as plain
from flowkernels.definitions.warp import CONVENTIONS, Convention

pytestmark = [
    pytest.mark.usefixtures("triton_backend"),
    # The interpreter uses NumPy, which warns about NaN and infinity; they are intended here.
    pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered:RuntimeWarning"),
]
DEVICE = "cuda" if os.environ.get("TRITON_INTERPRET", "0") in ("", "0") else "cpu"
TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
op = torch.ops.flowkernels.warp


def draw(
    convention: Convention, shape: tuple[int, ...], dtype: torch.dtype = torch.float32, reach: int = 6
) -> tuple[Tensor, Tensor, Tensor]:
    """An image, a motion away from whole positions (eighths, exact in half precision), a gradient."""
    motion_shape = (shape[0], 1 if convention == "disparity" else 2, *shape[2:])
    motion = torch.randint(-reach, reach, motion_shape) + torch.randint(1, 8, motion_shape) / 8
    maps = torch.randn(shape), motion, torch.randn(shape)
    return tuple(each.to(DEVICE, dtype) for each in maps)  # type: ignore[return-value]


def outcome(image: Tensor, motion: Tensor, grad: Tensor, convention: Convention) -> list[Tensor]:
    image, motion = image.detach().requires_grad_(), motion.detach().requires_grad_()
    out = op(image, motion, convention)
    return [t.detach() for t in (out, *torch.autograd.grad(out, (image, motion), grad))]


def exactly(image: Tensor, motion: Tensor, grad: Tensor, convention: Convention) -> list[Tensor]:
    image, motion = image.double().requires_grad_(), motion.double().requires_grad_()
    out = plain.warp(image, motion, convention)
    return [t.detach() for t in (out, *torch.autograd.grad(out, (image, motion), grad.double()))]


def check(
    convention: Convention, shape: tuple[int, ...], dtype: torch.dtype = torch.float32, reach: int = 6
) -> None:
    maps = draw(convention, shape, dtype, reach)
    for found, expected in zip(outcome(*maps, convention), exactly(*maps, convention), strict=True):
        size = max(expected.abs().max().item(), 1.0)
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=TOLERANCE[dtype] * size)


@settings(
    max_examples=12, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    st.sampled_from(CONVENTIONS),
    st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 6), st.integers(1, 9)),
)
def test_values_and_gradients(convention: Convention, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    check(convention, shape)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_half_precision(convention: Convention, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    check(convention, (1, 3, 5, 7), dtype)


@pytest.mark.slow
@pytest.mark.parametrize("width", [20, 37, 64])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_border(convention: Convention, width: int) -> None:
    """Batch 2; motions that leave the image on every side."""
    torch.manual_seed(0)
    check(convention, (2, 10, 13, width), reach=70)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_wide_tiles_on_large_maps(convention: Convention, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowkernels.triton_kernels.warp.MANY_PIXELS", 1)
    check(convention, (1, 5, 6, 9))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_far_and_non_finite_motion_is_as_defined(convention: Convention) -> None:
    torch.manual_seed(0)
    image, motion, grad = draw(convention, (1, 2, 4, 6))
    motion[0, 0, 0, 0], motion[0, 0, 1, 1], motion[0, 0, 2, 2] = 1e30, -1e30, torch.inf
    motion[0, 0, 2, 3], motion[0, 0, 1, 4] = -torch.inf, torch.nan
    out = op(image, motion, convention)
    torch.testing.assert_close(out, plain.warp(image, motion, convention), rtol=0, atol=1e-6, equal_nan=True)
    _, grad_image, grad_motion = outcome(image, motion, grad, convention)
    expected = plain.warp_backward(grad, image, motion, convention, True, True)
    torch.testing.assert_close(grad_motion, expected[1], rtol=1e-5, atol=1e-5, equal_nan=True)
    # Integers cannot represent NaN: a single non-finite weight makes the whole gradient NaN, never a large number.
    assert not expected[0].isfinite().all()
    assert grad_image.isnan().all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_gradient_that_is_not_finite_shows(bad: float) -> None:
    image, motion, grad = draw("zero", (1, 2, 4, 6))
    grad[0, 1, 2, 2] = bad
    assert outcome(image, motion, grad, "zero")[1].isnan().all()


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e30])
def test_gradients_of_any_size_keep_their_precision(size: float) -> None:
    torch.manual_seed(0)
    image, motion, grad = draw("zero", (1, 2, 4, 6))
    found, expected = (run(image, motion, grad * size, "zero")[1] for run in (outcome, exactly))
    torch.testing.assert_close(
        found.double(), expected, rtol=0, atol=2e-6 * max(expected.abs().max().item(), 1e-300)
    )


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_two_runs_give_the_same_bits(convention: Convention) -> None:
    maps = draw(convention, (2, 3, 5, 7))
    for a, b in zip(outcome(*maps, convention), outcome(*maps, convention), strict=True):
        assert torch.equal(a, b)


class Launching(TorchDispatchMode):
    """Counts PyTorch's own kernels: everything except allocations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if "empty" not in func.name():
            self.names.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_launches_are_counted(convention: Convention, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowkernels.triton_kernels import warp

    image, motion, grad = draw(convention, (1, 2, 4, 6))
    own: list[str] = []
    # The interpreter would run PyTorch operators instead of a kernel.
    monkeypatch.setattr(warp, "launch", lambda kernel, *_, **__: own.append(kernel.__name__))
    for run, kernels, others in (
        (lambda: warp.forward(image, motion, convention), 1, 0),
        (lambda: warp.backward(grad, image, motion, convention, True, True), 2, 2),
        (lambda: warp.backward(grad, image, motion, convention, False, True), 1, 0),
    ):
        own.clear()
        with Launching() as torchs:
            run()
        assert len(own) == kernels
        assert len(torchs.names) == others, torchs.names
