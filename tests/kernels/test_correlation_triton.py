"""The correlation's Triton kernels against the float64 definition: in Triton's interpreter, or on a GPU."""

import os
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

pytest.importorskip("triton", reason="Triton is for Linux")

from flowkernels import correlation_1d, correlation_2d
from flowkernels.definitions.correlation import Window, correlation
from flowkernels.operators.correlation import correlation as operator
from flowkernels.triton_kernels.launch import launches

pytestmark = pytest.mark.usefixtures("triton_backend")
DEVICE = "cuda" if os.environ.get("TRITON_INTERPRET", "0") in ("", "0") else "cpu"
SLOPE = 0.1
# Rounding of the result and of 81 x C sums in float32; half precision also rounds the features.
TOLERANCE = {torch.float32: 4e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


def outcome(run: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, grad: Tensor) -> list[Tensor]:
    """The volume and both gradients, in float64."""
    x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
    volume = run(x, y)
    gradients = torch.autograd.grad(volume, (x, y), grad.to(volume.dtype))
    return [t.detach().double().cpu() for t in (volume, *gradients)]


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Eighths up to 1 in size: products and short sums of them are exact, so no sum rounds across 0."""
    return (torch.randint(-8, 9, shape) / 8).to(DEVICE, dtype)


def check(
    shape: tuple[int, ...], window: Window, slope: float | None, dtype: torch.dtype = torch.float32
) -> None:
    x, y = random(*shape, dtype=dtype), random(*shape, dtype=dtype)
    grad = random(*window.volume_shape(x), dtype=dtype)
    found = outcome(lambda a, b: operator(a, b, *window, True, slope), x, y, grad)
    expected = outcome(
        lambda a, b: correlation(a, b, window, 1 / shape[1], slope), x.double(), y.double(), grad
    )
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        size = b.abs().max().item() if b.numel() else 0.0
        torch.testing.assert_close(a, b, rtol=0, atol=TOLERANCE[dtype] * size + 1e-12)


# A failure is not shrunk: the interpreter would take minutes, and the shapes are small.
interpreted = settings(
    max_examples=7,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
sizes = st.tuples(st.integers(0, 2), st.integers(1, 5), st.integers(1, 5))
slopes = st.sampled_from([None, SLOPE])


@interpreted
@given(sizes, st.sampled_from([4, 8, 20]), st.integers(0, 1), st.integers(0, 2), st.integers(0, 1), slopes)
def test_quads(
    size: tuple[int, ...], width: int, radius_y: int, radius_x: int, depth_radius: int, slope: float | None
) -> None:
    torch.manual_seed(width)
    check((*size, width), Window(radius_y, radius_x, depth_radius), slope)


@interpreted
@given(
    sizes,
    st.sampled_from([1, 3, 7, 12]),
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(0, 1),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 2]),
    slopes,
)
def test_single_pixels(
    size: tuple[int, ...],
    width: int,
    radius_y: int,
    radius_x: int,
    depth_radius: int,
    stride: int,
    dilation: int,
    slope: float | None,
) -> None:
    torch.manual_seed(width)
    check((*size, width), Window(radius_y, radius_x, depth_radius, stride, dilation), slope)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("width", [8, 7])
def test_half_precision(dtype: torch.dtype, width: int) -> None:
    torch.manual_seed(0)
    check((1, 3, 4, width), Window(1, 1), SLOPE, dtype)


@pytest.mark.parametrize("width", [4, 3])
def test_large_features_stay_finite_in_float16(width: int) -> None:
    x = torch.full((1, 196, 2, width), 20.0, dtype=torch.float16, device=DEVICE)
    assert correlation_2d(x, x, 0).eq(400).all()


@pytest.mark.parametrize("radius", [5, 8, 10])
def test_a_radius_beyond_a_quad(radius: int) -> None:
    """More x shifts than one program of the single-pixel kernels handles."""
    torch.manual_seed(0)
    check((1, 2, 2, 24), Window(0, radius), None)


@pytest.mark.parametrize("width", [8, 7])
def test_launches_are_counted(width: int) -> None:
    """One forward, one per required gradient, for any batch, depth and window."""
    x = random(2, 3, 4, width).requires_grad_()
    y = random(2, 3, 4, width)
    before = launches()
    volume = operator(x, y, *Window(1, 1, 1), True, SLOPE)
    assert launches() - before == 1
    volume.backward(torch.ones_like(volume))
    assert launches() - before == 2
    volume = operator(x, y.requires_grad_(), *Window(1, 1, 1), True, SLOPE)
    volume.backward(torch.ones_like(volume))
    assert launches() - before == 5


def test_an_empty_batch_launches_nothing() -> None:
    x = random(0, 2, 3, 4).requires_grad_()
    before = launches()
    volume = correlation_2d(x, x, 1)
    volume.sum().backward()
    assert launches() == before
    assert volume.shape == (0, 9, 3, 4)


@pytest.mark.parametrize("width", [8, 7])
def test_two_runs_give_the_same_bits(width: int) -> None:
    torch.manual_seed(0)
    x, y, grad = (torch.randn(1, 3, 3, width, device=DEVICE) for _ in range(3))
    runs = [
        outcome(lambda a, b: correlation_1d(a, b, 1)[:, :1].expand(-1, 3, -1, -1), x, y, grad) for _ in "ab"
    ]
    for a, b in zip(*runs, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("width", [8, 7])
def test_any_memory_layout_gives_the_same_bits(width: int) -> None:
    torch.manual_seed(0)
    x, y, grad = (torch.randn(1, c, 3, width, device=DEVICE) for c in (3, 3, 9))
    plain = outcome(lambda a, b: correlation_2d(a, b, 1, negative_slope=SLOPE), x, y, grad)
    x, y, grad = (t.contiguous(memory_format=torch.channels_last) for t in (x, y, grad))
    assert correlation_2d(x, y, 1).is_contiguous()
    for a, b in zip(
        outcome(lambda a, b: correlation_2d(a, b, 1, negative_slope=SLOPE), x, y, grad), plain, strict=True
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize("width", [8, 7])
@pytest.mark.parametrize("where", [0, 1])
def test_a_bad_feature_reaches_only_what_looks_at_it(width: int, where: int) -> None:
    torch.manual_seed(0)
    maps, grad = [random(1, 2, 4, width), random(1, 2, 4, width)], random(1, 9, 4, width)
    maps[where][0, 1, 2, 3] = torch.nan
    found = outcome(lambda a, b: correlation_2d(a, b, 1), *maps, grad)
    expected = outcome(lambda a, b: correlation(a, b, Window(1, 1), 0.5), *maps, grad)
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.isfinite(), b.isfinite())
    assert (~found[0].isfinite()).sum() == 9


def test_features_too_large_for_the_offsets_are_an_error() -> None:
    from flowkernels.triton_kernels.correlation import backward_plan, forward_plan

    for width in (2**15, 2**15 + 1):
        with pytest.raises(ValueError, match="too large for the Triton kernels"):
            forward_plan((1, 1, 2**15 + 1, width), Window(1, 1))
        with pytest.raises(ValueError, match="too large for the Triton kernels"):
            backward_plan((1, 1, 2**15 + 1, width), Window(1, 1), 1, False)


@pytest.mark.slow
@pytest.mark.parametrize("width", [20, 37, 64])
@pytest.mark.parametrize("slope", [None, SLOPE])
def test_radius_4(width: int, slope: float | None) -> None:
    """Batch 2, every border, more rows than a tile's window."""
    torch.manual_seed(width)
    check((2, 5, 11, width), Window(4, 4), slope)


@pytest.mark.slow
def test_three_shifts_per_thread() -> None:
    """Enough programs for groups of three y shifts, the last group partly empty."""
    from flowkernels.triton_kernels.correlation import forward_plan

    window = Window(2, 1)
    shape = (2, 1, 64, 512)
    assert forward_plan(shape, window).constants["GROUP"] == 3
    torch.manual_seed(0)
    x, y = random(*shape), random(*shape)
    found = operator(x, y, *window, True, SLOPE).double()
    expected = correlation(x.double(), y.double(), window, 1.0, SLOPE)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
