"""The correlation's operator on a CPU: values, gradients, layouts, dtypes, tracing, errors."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowkernels import correlation_1d, correlation_2d, correlation_3d
from flowkernels.definitions.correlation import Window, correlation
from flowkernels.operators.correlation import correlation as operator
from flowkernels.operators.correlation import correlation_backward as backward_operator

SLOPE = 0.1


@st.composite
def windows(draw: st.DrawFn) -> Window:
    return Window(
        radius_y=draw(st.integers(0, 3)),
        radius_x=draw(st.integers(0, 5)),
        depth_radius=draw(st.integers(0, 2)),
        stride=draw(st.sampled_from([1, 1, 1, 2, 3])),
        dilation=draw(st.sampled_from([1, 1, 2, 5])),
    )


# Batch, channels, height, width: 16 columns are a tile.
shapes = st.tuples(
    st.integers(0, 3), st.integers(1, 5), st.integers(1, 7), st.sampled_from([1, 2, 5, 12, 16, 17, 37])
)


def outcome(run: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, grad: Tensor) -> list[Tensor]:
    """The volume and both gradients, in float64."""
    x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
    volume = run(x, y)
    return [
        t.detach().double() for t in (volume, *torch.autograd.grad(volume, (x, y), grad.to(volume.dtype)))
    ]


@settings(max_examples=60, deadline=None)
@given(shapes, windows(), st.booleans(), st.sampled_from([None, SLOPE]), st.integers(0, 2**31))
def test_values_and_gradients_are_the_definitions(
    shape: tuple[int, ...], window: Window, average: bool, slope: float | None, seed: int
) -> None:
    torch.manual_seed(seed)
    x, y = torch.randn(shape), torch.randn(shape)
    grad = torch.randn(window.volume_shape(x))
    found = outcome(lambda a, b: operator(a, b, *window, average, slope), x, y, grad)
    scale = 1 / shape[1] if average else 1.0
    expected = outcome(lambda a, b: correlation(a, b, window, scale, slope), x.double(), y.double(), grad)
    # The leaky ReLU's gradient jumps at 0: sums that may round to the other side are excluded.
    assume(slope is None or not bool(((expected[0].abs() < 1e-5) & (expected[0] != 0)).any()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(
            a, b, rtol=1e-5, atol=1e-5 * max(1.0, scale * window.counts[1] * window.counts[2])
        )


@pytest.mark.parametrize(("channels", "height", "width"), [(32, 24, 80), (64, 12, 40), (196, 6, 20)])
def test_a_networks_levels(channels: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 2, channels, height, width)
    grad = torch.randn(2, 81, height, width)
    found = outcome(lambda a, b: correlation_2d(a, b), x, y, grad)
    expected = outcome(
        lambda a, b: correlation(a, b, Window(4, 4), 1 / channels), x.double(), y.double(), grad
    )
    for a, b in zip(found, expected, strict=True):
        assert ((a - b).abs().max() / b.abs().max()).item() < 1e-6


def layouts() -> dict[str, Callable[[Tensor], Tensor]]:
    return {
        "channels_last": lambda t: t.contiguous(memory_format=torch.channels_last),
        "every second column": lambda t: torch.stack([t, t], -1).flatten(-2)[..., ::2],
        "transposed": lambda t: t.transpose(-1, -2).contiguous().transpose(-1, -2),
        "inside a larger storage": lambda t: torch.cat([t.new_zeros(1, *t.shape[1:]), t])[1:],
        "1 x 1 by channels_last": lambda t: t[..., :1, :1].contiguous(memory_format=torch.channels_last),
    }


@pytest.mark.parametrize("name", layouts())
@pytest.mark.parametrize("slope", [None, SLOPE])
def test_any_memory_layout_gives_the_same_bits_in_a_contiguous_result(name: str, slope: float | None) -> None:
    torch.manual_seed(0)
    x, y = (layouts()[name](torch.randn(2, 3, 5, 18)) for _ in range(2))
    grad = torch.randn(2, 9, *x.shape[-2:])

    def run(a: Tensor, b: Tensor) -> Tensor:
        volume = correlation_2d(a, b, 1, negative_slope=slope)
        assert volume.is_contiguous()
        return volume

    contiguous = [torch.empty(t.shape).copy_(t) for t in (x, y)]
    plain = outcome(run, contiguous[0], contiguous[1], grad)
    for a, b in zip(outcome(run, x, y, layouts()["transposed"](grad)), plain, strict=True):
        assert torch.equal(a, b)


def test_a_gradient_that_is_one_expanded_number() -> None:
    x, y = (torch.randn(1, 2, 3, 5, requires_grad=True) for _ in range(2))
    found = torch.autograd.grad(correlation_2d(x, y, 1).sum(), (x, y))
    expected = torch.autograd.grad(correlation(x, y, Window(1, 1), 0.5).sum(), (x, y))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("wanted", [0, 1])
def test_one_gradient_alone_is_the_same(wanted: int) -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, 3, 5, 18) for _ in range(2)]
    grad = torch.randn(2, 81, 5, 18)
    both = outcome(lambda a, b: correlation_2d(a, b), maps[0], maps[1], grad)[1 + wanted]
    maps[wanted].requires_grad_()
    correlation_2d(*maps).backward(grad)
    assert torch.equal(maps[wanted].grad.double(), both)  # type: ignore[union-attr]
    assert maps[1 - wanted].grad is None


@pytest.mark.parametrize("shape", [(2, 32, 24, 80), (1, 196, 6, 20)])
def test_two_runs_give_the_same_bits(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x, y, grad = torch.randn(shape), torch.randn(shape), torch.randn(shape[0], 81, *shape[2:])

    def run() -> list[Tensor]:
        torch.randn(torch.randint(1, 999, ()).item()).sum()  # other addresses
        return outcome(lambda a, b: correlation_2d(a, b, negative_slope=SLOPE), x.clone(), y.clone(), grad)

    first = run()
    for _ in range(4):
        for a, b in zip(run(), first, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("dilation", [1, 2])
def test_a_bad_feature_reaches_only_what_looks_at_it(bad: float, dilation: int) -> None:
    """Not the rest of its tile: 0 x NaN beside the band must have no effect."""
    torch.manual_seed(0)
    window = Window(1, 2, depth_radius=1, dilation=dilation)
    x, y = torch.randn(2, 1, 3, 6, 37)
    y[0, 1, 3, 15] = bad
    grad = torch.randn(window.volume_shape(x))
    found = outcome(lambda a, b: operator(a, b, *window, True, None), x, y, grad)
    expected = outcome(lambda a, b: correlation(a, b, window, 1 / 3), x, y, grad)
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.isfinite(), b.isfinite())
    assert 0 < (~found[0].isfinite()).sum() < 3 * 15 * 2
    assert found[2].isfinite().all()  # y's gradient does not depend on y
    x[0, 1, 3, 15], y[0, 1, 3, 15] = bad, 1.0
    found = outcome(lambda a, b: operator(a, b, *window, True, None), x, y, grad)
    expected = outcome(lambda a, b: correlation(a, b, window, 1 / 3), x, y, grad)
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.isfinite(), b.isfinite())
    assert (~found[2].isfinite()).sum() == 3 * 3 * 5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_float32_rounded_once(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 1, 20, 5, 18).to(dtype)
    grad = torch.randn(1, 81, 5, 18).to(dtype)
    half = outcome(lambda a, b: correlation_2d(a, b), x, y, grad)
    full = outcome(lambda a, b: correlation_2d(a, b), x.float(), y.float(), grad)
    assert correlation_2d(x, y).dtype == dtype
    for a, b in zip(half, full, strict=True):
        assert torch.equal(a, b.to(dtype).double())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_features_stay_finite(dtype: torch.dtype) -> None:
    x = torch.full((1, 196, 4, 6), 20.0, dtype=dtype)
    assert correlation_2d(x, x)[0, 40].eq(400).all()


def test_mixed_dtypes_are_raised() -> None:
    x = torch.randn(1, 2, 3, 4)
    assert correlation_2d(x.half(), x, 1).dtype == torch.float32
    assert correlation_2d(x.half(), x.bfloat16(), 1).dtype == torch.float32
    assert correlation_2d(x, x.double(), 1).dtype == torch.float64


def test_autocast_runs_it_in_float32() -> None:
    torch.manual_seed(0)
    x, y = (torch.randn(1, 20, 5, 6, requires_grad=True) for _ in range(2))
    plain = torch.autograd.grad(correlation_2d(x, y).square().sum(), (x, y))
    with torch.autocast("cpu", torch.bfloat16):
        volume = correlation_2d(x, y)
        assert volume.dtype == torch.float32
        assert correlation_2d(x.bfloat16(), y.bfloat16()).dtype == torch.float32
    for a, b in zip(torch.autograd.grad(volume.square().sum(), (x, y)), plain, strict=True):
        assert torch.equal(a, b)


ARGUMENTS: list[tuple[Any, ...]] = [
    (*Window(1, 2), True, None),
    (*Window(1, 1, 1, 2, 2), False, SLOPE),
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_operators_keep_pytorchs_rules(arguments: tuple[Any, ...], dtype: torch.dtype) -> None:
    x, y = (torch.randn(2, 3, 4, 5, dtype=dtype, requires_grad=True) for _ in range(2))
    torch.library.opcheck(operator, (x, y, *arguments))
    volume = operator(x, y, *arguments).detach()
    maps = (torch.randn_like(volume), x.detach(), y.detach(), volume)
    for needed in ((True, True), (True, False), (False, True)):
        torch.library.opcheck(backward_operator, (*maps, *arguments, *needed))


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_without_a_graph_break_it_is_equal(dynamic: bool) -> None:
    def loss(x: Tensor, y: Tensor) -> Tensor:
        volume = correlation_2d(x, y, 2, "sum", SLOPE)
        return (
            (correlation_1d(volume, volume, 1) * correlation_3d(volume, volume, 1, 1)[:, :3]).square().sum()
        )

    torch.manual_seed(0)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for width in (6, 8):
        x, y = (torch.randn(1, 2, 5, width, requires_grad=True) for _ in range(2))
        found = torch.autograd.grad(compiled(x, y), (x, y))
        for a, b in zip(found, torch.autograd.grad(loss(x, y), (x, y)), strict=True):
            assert torch.equal(a, b)


def test_a_meta_tensor_shows_the_shape() -> None:
    x = torch.empty(2, 3, 5, 7, device="meta", requires_grad=True)
    volume = correlation_2d(x, x, 2, stride=2)
    assert volume.shape == (2, 25, 3, 4)
    volume.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape


def test_a_second_derivative_is_an_error() -> None:
    x = torch.randn(1, 2, 3, 4, requires_grad=True)
    (grad,) = torch.autograd.grad(correlation_2d(x, x.detach(), 1).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        grad.sum().backward()


X = torch.zeros(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: correlation_2d(X, X[..., :3]),
            ValueError,
            r"the same shape.*\(1, 2, 3, 4\) and \(1, 2, 3, 3\)",
        ),
        (lambda: correlation_1d(X[0], X[0]), ValueError, r"\(B, C, H, W\), got \(2, 3, 4\)"),
        (lambda: correlation_2d(X[:, :0], X[:, :0]), ValueError, "at least one channel and one pixel"),
        (lambda: correlation_2d(X[..., :0], X[..., :0]), ValueError, "at least one channel and one pixel"),
        (lambda: correlation_2d(X.int(), X.int()), TypeError, "floating-point features, got torch.int32"),
        (lambda: correlation_2d(X, X.to("meta")), ValueError, "the same device, got cpu and meta"),
        (lambda: correlation_2d(X, X, -1), ValueError, "radii of 0 or more"),
        (lambda: correlation_3d(X, X, 1, -1), ValueError, "radii of 0 or more"),
        (
            lambda: correlation_2d(X, X, stride=0),
            ValueError,
            "stride and a dilation of 1 or more, got 0 and 1",
        ),
        (lambda: correlation_1d(X, X, dilation=0), ValueError, "stride and a dilation of 1 or more"),
        (lambda: correlation_2d(X, X, reduction="max"), ValueError, "mean or sum, got 'max'"),  # type: ignore[arg-type]
        (lambda: correlation_2d(X, X, negative_slope=0.0), ValueError, "negative_slope above 0"),
        (lambda: correlation_2d(X, X, negative_slope=float("nan")), ValueError, "negative_slope above 0"),
    ],
)
def test_what_cannot_be_correlated_is_an_error(
    call: Callable[[], Tensor], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call()


def test_an_empty_batch_gives_an_empty_volume_and_gradients() -> None:
    x = torch.zeros(0, 2, 3, 4, requires_grad=True)
    volume = correlation_2d(x, x, 1)
    assert volume.shape == (0, 9, 3, 4)
    volume.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == (0, 2, 3, 4)


def test_a_leaky_relu_folded_in_is_one_applied_after() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 1, 4, 5, 21)
    grad = torch.randn(1, 81, 5, 21)
    folded = outcome(lambda a, b: correlation_2d(a, b, negative_slope=SLOPE), x, y, grad)
    after = outcome(lambda a, b: torch.nn.functional.leaky_relu(correlation_2d(a, b), SLOPE), x, y, grad)
    for a, b in zip(folded, after, strict=True):
        assert torch.equal(a, b)
