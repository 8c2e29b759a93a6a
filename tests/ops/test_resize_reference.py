"""Resampling against the originals' numbers and against slow definitions."""

import numpy as np
import pytest
import torch

import reference
from flowdistill.ops.area import area_average
from flowdistill.ops.resize import resize_flow, resize_legacy_bilinear

LEGACY = [(20, 28), (12, 17), (3, 4), (5, 7)]


@pytest.mark.parametrize("size", LEGACY)
def test_legacy_bilinear_matches_the_reference(
    size: tuple[int, int], device: torch.device, dtype: torch.dtype
) -> None:
    name = f"resize_bilinear_5x7_to_{size[0]}x{size[1]}"
    x = reference.tensor("dwarf_ops", f"{name}__x", device, dtype).requires_grad_()
    out = resize_legacy_bilinear(x, size)
    assert reference.relative_error(out, reference.tensor("dwarf_ops", f"{name}__out")) < 1e-5
    if size != (5, 7):
        (out * reference.tensor("dwarf_ops", f"{name}__weight", device, dtype)).sum().backward()
        assert reference.relative_error(x.grad, reference.tensor("dwarf_ops", f"{name}__grad_x")) < 1e-5


@pytest.mark.parametrize("size", [(10, 14), (11, 16), (3, 4), (5, 7)])
def test_flow_resize_matches_the_reference(
    size: tuple[int, int], device: torch.device, dtype: torch.dtype
) -> None:
    name = f"flow_resize_{size[0]}x{size[1]}"
    flow = reference.tensor("ddflow_ops", f"{name}_scaled__flow", device, dtype).requires_grad_()
    out = resize_flow(flow, size)
    assert reference.relative_error(out, reference.tensor("ddflow_ops", f"{name}_scaled__out")) < 1e-5
    unscaled = out.cpu() / torch.tensor([size[1] / 7, size[0] / 5]).view(1, 2, 1, 1)
    assert reference.relative_error(unscaled, reference.tensor("ddflow_ops", f"{name}_unscaled__out")) < 1e-5
    if size == (11, 16):
        (out * reference.tensor("ddflow_ops", f"{name}_scaled__weight", device, dtype)).sum().backward()
        assert (
            reference.relative_error(flow.grad, reference.tensor("ddflow_ops", f"{name}_scaled__grad_flow"))
            < 1e-5
        )


def test_flow_resize_from_a_single_row(device: torch.device, dtype: torch.dtype) -> None:
    name = "flow_resize_from_1x2_to_2x4_scaled"
    out = resize_flow(reference.tensor("ddflow_ops", f"{name}__flow", device, dtype), (2, 4))
    assert reference.relative_error(out, reference.tensor("ddflow_ops", f"{name}__out")) < 1e-5


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("16x24_factor0", 0),
        ("16x24_factor1", 1),
        ("16x24_factor2", 2),
        ("16x24_factor3", 3),
        ("13x21_factor1", 1),
    ],
)
def test_area_average_matches_the_reference(
    name: str, factor: int, device: torch.device, dtype: torch.dtype
) -> None:
    out = area_average(reference.tensor("dwarf_ops", f"area_{name}__x", device, dtype), factor)
    assert reference.relative_error(out, reference.tensor("dwarf_ops", f"area_{name}__out")) < 1e-5


def test_a_nan_spreads_to_its_cell_only() -> None:
    x = reference.tensor("dwarf_ops", "area_8x8_factor1_nan__x")
    expected = reference.tensor("dwarf_ops", "area_8x8_factor1_nan__out")
    out = area_average(x, 1)
    assert torch.isnan(expected).sum() == 1
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6, equal_nan=True)
    # With "leave_out" the cell is the mean of the three finite pixels.
    row, column = (int(i) for i in torch.isnan(expected)[0, 0].nonzero()[0])
    cell = x[0, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    left_out = area_average(x, 1, "leave_out")
    assert left_out[0, 0, row, column].item() == pytest.approx(
        cell[torch.isfinite(cell)].mean().item(), rel=1e-5
    )


@pytest.mark.parametrize("size", [(13, 21), (16, 24), (7, 9)])
@pytest.mark.parametrize("policy", ["spread", "leave_out"])
def test_area_average_is_its_definition_with_unknown_pixels(
    size: tuple[int, int], policy: str, device: torch.device
) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=size)
    x[rng.random(size) < 0.3] = np.nan
    x[0:4, 0:4] = np.nan  # one cell without any finite pixel
    height, width = size[0] // 2, size[1] // 2
    expected = np.full((height, width), np.nan)
    for i in range(height):
        for j in range(width):
            rows = [i * size[0] / height, (i + 1) * size[0] / height]
            columns = [j * size[1] / width, (j + 1) * size[1] / width]
            total = area = 0.0
            touched = False
            for r in range(size[0]):
                for c in range(size[1]):
                    share = max(0.0, min(rows[1], r + 1) - max(rows[0], r)) * max(
                        0.0, min(columns[1], c + 1) - max(columns[0], c)
                    )
                    if share <= 1e-9:
                        continue
                    if np.isnan(x[r, c]):
                        touched = True
                    else:
                        total += share * x[r, c]
                        area += share
            if area > 1e-9 and not (touched and policy == "spread"):
                expected[i, j] = total / area
    out = area_average(torch.from_numpy(x).to(device)[None, None], 1, policy)[0, 0].cpu().numpy()
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-12)
    assert np.isnan(expected).any()
    assert np.isfinite(expected).any()
