"""The warp operator on a CPU: gradients, fixed-point sums, layouts, dtypes, tracing, errors."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowkernels import warp_disparity, warp_replicate, warp_zero
from flowkernels.definitions import warp as plain
from flowkernels.definitions.warp import CONVENTIONS, Convention

WARPS = {"replicate": warp_replicate, "disparity": warp_disparity, "zero": warp_zero}
op = torch.ops.flowkernels.warp.default
backward_op = torch.ops.flowkernels.warp_backward.default


def draw(
    convention: Convention, shape: tuple[int, ...], dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """An image, and a motion up to 6 px away from whole positions, where the gradient jumps."""
    motions = 1 if convention == "disparity" else 2
    motion_shape = (shape[0], motions, *shape[2:])
    motion = torch.randint(-6, 6, motion_shape) + 0.125 + 0.75 * torch.rand(motion_shape, dtype=torch.float64)
    return torch.randn(shape, dtype=torch.float64).to(dtype), motion.to(dtype)


def gradients(
    run: Callable[[Tensor, Tensor], Tensor], image: Tensor, motion: Tensor, grad: Tensor
) -> list[Tensor]:
    """Output and both gradients, in float64."""
    image, motion = image.detach().requires_grad_(), motion.detach().requires_grad_()
    out = run(image, motion)
    return [
        t.detach().double() for t in (out, *torch.autograd.grad(out, (image, motion), grad.to(out.dtype)))
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(CONVENTIONS),
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 7)),
    st.integers(0, 2**31),
)
def test_the_gradients_are_those_of_the_definition(
    convention: Convention, shape: tuple[int, ...], seed: int
) -> None:
    """The definition is differentiated by autograd; the operator's backward is written by hand."""
    torch.manual_seed(seed)
    image, motion = draw(convention, shape)
    grad = torch.randn(shape, dtype=torch.float64)
    found = gradients(WARPS[convention], image, motion, grad)
    expected = gradients(lambda a, b: plain.warp(a, b, convention), image, motion, grad)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_scatter_in_integers_is_exact_and_has_no_order(convention: Convention) -> None:
    """What runs on a GPU without Triton: all pixels sample a few, the terms span 12 decades."""
    torch.manual_seed(0)
    shape = (2, 3, 9, 11)
    image, motion = draw(convention, shape, torch.float32)
    motion = motion.mul(0.2).clamp(-1, 1)
    grad = torch.randn(shape) * 10.0 ** torch.randint(-6, 6, shape)
    exact = plain.warp_backward(grad.double(), image.double(), motion.double(), convention, True, False)[0]
    x, y = plain._axes(image, motion, convention)
    rows = [(plain._rows(image), torch.ones_like(x.weight_low))]
    if y is not None:
        rows = [(y.low, y.weight_low), (y.high, y.weight_high)]
    corners = [
        (r, c, grad * (v * w).unsqueeze(1))
        for r, v in rows
        for c, w in ((x.low, x.weight_low), (x.high, x.weight_high))
    ]
    sums = []
    for order in (corners, corners[::-1]):
        adder = plain._FixedPointAdder(image, grad, convention)
        for corner in order:
            adder.add(*corner)
        sums.append(adder.total())
    assert torch.equal(*sums)
    floats = plain.warp_backward(grad, image, motion, convention, True, False)[0]
    error = (sums[0].double() - exact).abs()
    assert error.max() <= 2 * (floats.double() - exact).abs().max()
    assert error.max() / exact.abs().max() < 1e-6


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_stays_so_in_integers(bad: float) -> None:
    image, motion = draw("replicate", (1, 2, 4, 5), torch.float32)
    grad = torch.ones(1, 2, 4, 5)
    row = torch.zeros(1, 4, 5, dtype=torch.int64)
    for where in ("gradient", "contribution"):
        broken = grad.clone()
        broken[0, 0, 1, 1] = bad
        adder = plain._FixedPointAdder(image, broken if where == "gradient" else grad, "replicate")
        adder.add(row, row, broken)
        assert adder.total().isnan().all()
    adder = plain._FixedPointAdder(image, grad, "replicate")
    adder.add(row, row, grad)
    assert adder.total()[0, 0, 0, 0] == 20
    del motion


@pytest.mark.parametrize("largest", [0.0, 1e-45, 1e-38, 1.0, 3e38])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_no_sum_of_integers_can_overflow(largest: float, convention: Convention) -> None:
    pixels = 375 * 1242
    exponent = plain.fixed_point_exponent(torch.tensor(largest), pixels, convention)
    worst = {"replicate": 1, "disparity": 1, "zero": 9}[convention] * pixels * largest
    assert worst * 2.0 ** float(exponent) < 2.0**63


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_half_precision_is_float32_rounded_once(convention: Convention) -> None:
    torch.manual_seed(0)
    for dtype in (torch.float16, torch.bfloat16):
        image, motion = draw(convention, (2, 3, 5, 7), dtype)
        grad = torch.randn(2, 3, 5, 7).to(dtype)
        half = gradients(WARPS[convention], image, motion, grad)
        full = gradients(WARPS[convention], image.float(), motion.float(), grad.float())
        for a, b in zip(half, full, strict=True):
            assert torch.equal(a, b.to(dtype).double())


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_any_memory_layout_gives_the_same_bits(convention: Convention) -> None:
    torch.manual_seed(0)
    image, motion = draw(convention, (2, 3, 5, 8), torch.float32)
    grad = torch.randn(2, 3, 5, 8)
    expected = gradients(WARPS[convention], image, motion, grad)
    last = [t.contiguous(memory_format=torch.channels_last) for t in (image, motion, grad)]
    wide = [torch.stack([t, t], -1).flatten(-2)[..., ::2] for t in (image, motion, grad)]
    for maps in (last, wide):
        assert WARPS[convention](maps[0], maps[1]).is_contiguous()
        for a, b in zip(gradients(WARPS[convention], *maps), expected, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_only_what_is_needed_is_computed(convention: Convention) -> None:
    image, motion = draw(convention, (1, 2, 4, 5), torch.float32)
    grad = torch.randn(1, 2, 4, 5)
    both = gradients(WARPS[convention], image, motion, grad)
    alone = torch.autograd.grad(WARPS[convention](image.requires_grad_(), motion), image, grad)[0]
    assert torch.equal(alone.double(), both[1])
    image = image.detach()
    alone = torch.autograd.grad(WARPS[convention](image, motion.requires_grad_()), motion, grad)[0]
    assert torch.equal(alone.double(), both[2])
    for needs, sizes in (((True, False), (40, 0)), ((False, True), (0, motion.numel()))):
        found = backward_op(grad, image, motion.detach(), convention, *needs)
        assert tuple(t.numel() for t in found) == sizes


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_operators_keep_pytorchs_rules(convention: Convention, dtype: torch.dtype) -> None:
    image, motion = draw(convention, (2, 3, 4, 5), dtype)
    torch.library.opcheck(op, (image.requires_grad_(), motion.requires_grad_(), convention))
    for needed in ((True, True), (True, False), (False, True)):
        maps = (torch.randn(2, 3, 4, 5).to(dtype), image.detach(), motion.detach())
        torch.library.opcheck(backward_op, (*maps, convention, *needed))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_compiled_without_a_graph_break_it_is_equal(convention: Convention) -> None:
    torch.manual_seed(0)
    compiled = torch.compile(
        lambda a, b: WARPS[convention](a, b).square(), fullgraph=True, backend="aot_eager"
    )
    image, motion = draw(convention, (1, 2, 4, 6), torch.float32)
    grad = torch.randn(1, 2, 4, 6)
    found = gradients(compiled, image, motion, grad)
    for a, b in zip(
        found, gradients(lambda a, b: WARPS[convention](a, b).square(), image, motion, grad), strict=True
    ):
        assert torch.equal(a, b)


def test_autocast_runs_it_in_float32() -> None:
    image, motion = draw("zero", (1, 2, 4, 5), torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        warped = warp_zero(image, motion)
    assert warped.dtype == torch.float32
    assert torch.equal(warped, warp_zero(image.float(), motion.float()))


def test_an_empty_batch_is_empty() -> None:
    image, motion = torch.zeros(0, 2, 3, 4, requires_grad=True), torch.zeros(0, 2, 3, 4, requires_grad=True)
    warp_zero(image, motion).sum().backward()
    assert image.grad is not None
    assert motion.grad is not None
    assert image.grad.shape == motion.grad.shape == (0, 2, 3, 4)


IMAGE, FLOW = torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 4, 5)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: warp_zero(IMAGE[0], FLOW), ValueError, r"the image must be \(B, C, H, W\), got \(3, 4, 5\)"),
        (
            lambda: warp_disparity(IMAGE, FLOW),
            ValueError,
            r"needs a motion of \(1, 1, 4, 5\), got \(1, 2, 4, 5\)",
        ),
        (lambda: warp_zero(IMAGE, FLOW.to("meta")), TypeError, "the same device, got cpu and meta"),
        (lambda: warp_replicate(IMAGE.int(), FLOW), TypeError, "floating-point, got torch.int32"),
    ],
)
def test_what_cannot_be_warped_is_an_error(
    call: Callable[[], Tensor], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call()
