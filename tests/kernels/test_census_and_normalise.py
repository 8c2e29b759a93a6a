"""The census distance and the normalisation: definitions, CPU implementation, Triton kernels, operator rules."""

import os
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowkernels import census_distance, l2_normalise
from flowkernels.definitions.census import census
from flowkernels.definitions.normalise import normalise

DEVICE = "cuda" if os.environ.get("TRITON_INTERPRET", "0") in ("", "0") else "cpu"
quickly = settings(
    max_examples=15, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


def outcome(run: Callable[..., Tensor], *maps: Tensor) -> list[Tensor]:
    """Output and all gradients of a fixed weighting, in float64."""
    leaves = [each.detach().requires_grad_() for each in maps]
    out = run(*leaves)
    weight = torch.linspace(-1, 1, out.numel()).view(out.shape).to(out)
    return [t.detach().double().cpu() for t in (out, *torch.autograd.grad(out, leaves, weight))]


def compare(run: Callable[..., Tensor], exact: Callable[..., Tensor], *maps: Tensor, limit: float) -> None:
    found, expected = outcome(run, *maps), outcome(exact, *(each.double() for each in maps))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=limit * max(b.abs().max().item(), 1.0))


def grey(*shape: int) -> Tensor:
    return (255 * torch.rand(shape)).to(DEVICE)


def slowly(image1: Tensor, image2: Tensor) -> Tensor:
    """The census distance as described in words, pixel by pixel."""
    height, width = image1.shape[-2:]
    out = torch.zeros_like(image1)
    for y in range(height):
        for x in range(width):
            for v in range(y - 3, y + 4):
                for u in range(x - 3, x + 4):
                    signs = []
                    for image in (image1, image2):
                        inside = 0 <= v < height and 0 <= u < width
                        step = (image[0, 0, v, u] if inside else 0.0) - image[0, 0, y, x]
                        signs.append(step / torch.sqrt(0.81 + step**2))
                    squared = (signs[0] - signs[1]) ** 2
                    out[0, 0, y, x] += squared / (0.1 + squared)
    return out


def test_the_definition_is_what_it_says() -> None:
    torch.manual_seed(0)
    maps = 255 * torch.rand(2, 1, 1, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(census(*maps), slowly(*maps), rtol=1e-12, atol=1e-12)


@quickly
@given(st.tuples(st.integers(1, 2), st.just(1), st.integers(1, 9), st.integers(1, 12)))
def test_census_on_a_cpu(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    compare(census_distance, census, grey(*shape), grey(*shape), limit=2e-6)


def test_census_over_several_strips() -> None:
    torch.manual_seed(1)
    compare(census_distance, census, grey(2, 1, 150, 9), grey(2, 1, 150, 9), limit=2e-6)


@quickly
@given(st.tuples(st.integers(1, 2), st.just(1), st.integers(1, 7), st.sampled_from([1, 5, 33])))
def test_census_in_triton(triton_backend: None, shape: tuple[int, ...]) -> None:
    pytest.importorskip("triton", reason="Triton is for Linux")
    torch.manual_seed(1)
    compare(census_distance, census, grey(*shape), grey(*shape), limit=3e-6)


@pytest.mark.slow
@pytest.mark.parametrize("width", [20, 37, 64])
def test_census_in_triton_larger(triton_backend: None, width: int) -> None:
    pytest.importorskip("triton", reason="Triton is for Linux")
    torch.manual_seed(1)
    compare(census_distance, census, grey(2, 1, 11, width), grey(2, 1, 11, width), limit=3e-6)


@quickly
@given(st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 4), st.integers(1, 12)), st.booleans())
def test_normalise(shape: tuple[int, ...], short: bool) -> None:
    """Includes vectors that are too short to be normalised, which are scaled."""
    torch.manual_seed(1)
    features = torch.randn(shape, device=DEVICE) * (1e-8 if short else 1.0)
    compare(l2_normalise, normalise, features, limit=2e-6)


@quickly
@given(st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 4), st.integers(1, 12)), st.booleans())
def test_normalise_in_triton(triton_backend: None, shape: tuple[int, ...], short: bool) -> None:
    pytest.importorskip("triton", reason="Triton is for Linux")
    torch.manual_seed(1)
    features = torch.randn(shape, device=DEVICE) * (1e-8 if short else 1.0)
    compare(l2_normalise, normalise, features, limit=2e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    a, b = (255 * torch.rand(2, 1, 1, 6, 7)).to(dtype)
    assert torch.equal(census_distance(a, b), census_distance(a.float(), b.float()).to(dtype))
    features = (200 * torch.randn(1, 300, 2, 3)).to(dtype)  # squares overflow in float16
    assert torch.equal(l2_normalise(features), l2_normalise(features.float()).to(dtype))
    assert l2_normalise(features).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_triton(triton_backend: None, dtype: torch.dtype) -> None:
    pytest.importorskip("triton", reason="Triton is for Linux")
    torch.manual_seed(0)
    a, b = (255 * torch.rand(2, 1, 1, 6, 7)).to(DEVICE, dtype)
    torch.testing.assert_close(
        census_distance(a, b), census(a.float(), b.float()).to(dtype), rtol=0.01, atol=0.01
    )
    features = (200 * torch.randn(1, 9, 2, 3)).to(DEVICE, dtype)
    torch.testing.assert_close(l2_normalise(features), normalise(features), rtol=0.01, atol=0.01)


def test_launches_are_counted(triton_backend: None) -> None:
    pytest.importorskip("triton", reason="Triton is for Linux")
    from flowkernels.triton_kernels.launch import launches

    for run, count in ((census_distance, 2), (l2_normalise, 1)):
        maps = [grey(1, 1, 4, 5).requires_grad_() for _ in range(count)]
        before = launches()
        out = run(*maps)  # type: ignore[operator]
        assert launches() - before == 1
        torch.autograd.grad(out.sum(), maps)
        assert launches() - before == 2


def test_the_two_images_may_change_places() -> None:
    torch.manual_seed(0)
    a, b = grey(1, 1, 8, 9), grey(1, 1, 8, 9)
    found, swapped = outcome(census_distance, a, b), outcome(census_distance, b, a)
    for one, other in zip(found, (swapped[0], swapped[2], swapped[1]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-5)


def test_two_runs_give_the_same_bits() -> None:
    maps = [grey(2, 1, 70, 9), grey(2, 1, 70, 9)]
    for a, b in zip(outcome(census_distance, *maps), outcome(census_distance, *maps), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_operators_keep_pytorchs_rules(dtype: torch.dtype) -> None:
    ops = torch.ops.flowkernels
    a, b = (torch.rand(2, 1, 4, 5, dtype=dtype, requires_grad=True) for _ in range(2))
    torch.library.opcheck(ops.census.default, (a, b))
    for needed in ((True, True), (True, False), (False, True)):
        torch.library.opcheck(ops.census_backward.default, (a.detach(), a.detach(), b.detach(), *needed))
    features = torch.rand(2, 3, 4, 5, dtype=dtype, requires_grad=True)
    torch.library.opcheck(ops.normalise.default, (features,))
    torch.library.opcheck(ops.normalise_backward.default, (features.detach(), features.detach()))


def test_compiled_without_a_graph_break_they_are_equal() -> None:
    torch.manual_seed(0)

    def run(a: Tensor, b: Tensor) -> Tensor:
        return l2_normalise(census_distance(a, b))

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    maps = grey(1, 1, 6, 7), grey(1, 1, 6, 7)
    for a, b in zip(outcome(compiled, *maps), outcome(run, *maps), strict=True):
        assert torch.equal(a, b)


def test_autocast_runs_them_in_float32() -> None:
    a, b = (255 * torch.rand(2, 1, 1, 6, 7)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert census_distance(a, b).dtype == l2_normalise(a).dtype == torch.float32


def test_what_cannot_be_compared_is_an_error() -> None:
    image = torch.zeros(1, 1, 4, 5)
    with pytest.raises(
        ValueError, match=r"\(B, 1, H, W\) of the same shape, got \(1, 1, 4, 5\) and \(1, 1, 4, 4\)"
    ):
        census_distance(image, image[..., :4])
    with pytest.raises(ValueError, match=r"got \(1, 3, 4, 5\)"):
        census_distance(image.expand(1, 3, 4, 5), image.expand(1, 3, 4, 5))
    with pytest.raises(TypeError, match="the same device, got cpu and meta"):
        census_distance(image, image.to("meta"))
    with pytest.raises(TypeError, match=r"floating-point images, got torch\.uint8"):
        census_distance(image.byte(), image.byte())
    with pytest.raises(ValueError, match=r"\(B, C, H, W\), got \(1, 4, 5\)"):
        l2_normalise(image[0])
    with pytest.raises(TypeError, match=r"floating-point features, got torch\.int32"):
        l2_normalise(image.int())


def test_an_empty_batch_is_empty() -> None:
    a, b = (torch.zeros(0, 1, 4, 5, requires_grad=True) for _ in range(2))
    (census_distance(a, b).sum() + l2_normalise(a).sum()).backward()
    assert a.grad is not None
    assert a.grad.shape == (0, 1, 4, 5)
