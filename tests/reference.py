"""Reference numbers in tests/golden/reference (see its README): arrays, weights by rule, comparisons."""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowdistill.interop import load_tensorflow_variables

FOLDER = Path(__file__).parent / "golden" / "reference"


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz, NHWC as stored."""
    with np.load(FOLDER / f"{name}.npz") as stored:
        return dict(stored)


@cache
def numbers(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def nchw(array: np.ndarray) -> Tensor:
    """(B, H, W, C) array -> (B, C, H, W) float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(array.astype(np.float32).transpose(0, 3, 1, 2)))


def tensor(
    file: str, key: str, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    return nchw(arrays(file)[key]).to(device=device, dtype=dtype)


def relative_error(found: Tensor, expected: Tensor) -> float:
    """max |difference| / max |reference|, on whatever device each of them is."""
    found, expected = found.detach().cpu(), expected.cpu()
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return ((found - expected).abs().max() / expected.abs().max()).item()


def weight(name: str, shape: list[int], seed: int) -> np.ndarray:
    """The reference's deterministic weight rule (section 2 of its README)."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) ^ seed)
    gain, bias_gain = _dwarf_gain(name) if name.startswith("dwarf/") else _ddflow_gains(name)
    if len(shape) == 1:
        return (rng.uniform(-0.05, 0.05, shape) * bias_gain).astype(np.float32)
    fan_in = shape[0] * shape[1] * (shape[3] if "upsample" in name else shape[2])
    return (rng.standard_normal(shape) * np.sqrt(2 / fan_in) * gain).astype(np.float32)


def _dwarf_gain(name: str) -> tuple[float, float]:
    if "/upsample_motion_vectors/" in name:
        return 1.0, 1.0
    if "/upsample_features/" in name:
        return 0.25, 1.0
    if "/context_network" in name and "/Conv_6/" in name:
        return 0.1, 1.0
    if name.endswith(tuple(f"/{m}/Conv/weights" for m in ("optical_flow", "disparity", "disparity_change"))):
        return (0.1 if "dwarf/decoder/block_2/" in name else 0.25), 1.0
    if name.startswith(tuple(f"dwarf/Encoder/level_{level}" for level in (3, 4, 5, 6))):
        return 1.2, 1.0
    return 1.0, 1.0


def _ddflow_gains(name: str) -> tuple[float, float]:
    if name.startswith("feature_extractor/"):
        return (1e-4 if "/conv1_1/" in name else 1.0), 1e-4
    if "estimator_level_2/conv6/" in name:
        return 0.07, 0.1
    if name.startswith(tuple(f"estimator_level_{level}/conv6/" for level in (6, 5, 4, 3))):
        return 0.5, 1.0
    if "context_network/dilated_conv7/" in name:
        return 0.04, 0.1
    return 1.0, 1.0


def fill(network: nn.Module, kind: str, seed: int = 1) -> None:
    """Load the rule's weights; `kind` is "dwarf" or "ddflow"."""
    listed = numbers(f"{kind}_variables")
    load_tensorflow_variables(network, {v["name"]: weight(v["name"], v["shape"], seed) for v in listed})


def check_gradient_norms(
    variables: dict[str, Tensor], expected: dict[str, float], limits: tuple[float, float, float]
) -> None:
    """Relative errors of all variables' gradient norms: median, 90 % and maximum within `limits`."""
    floor = 1e-6 * max(expected.values())
    errors = []
    for name, norm in expected.items():
        if norm > floor:
            grad = variables[name].grad
            assert grad is not None, name
            errors.append(abs(grad.norm().item() - norm) / norm)
    assert len(errors) > len(expected) / 2
    found = np.quantile(errors, [0.5, 0.9, 1.0])
    assert all(found < np.array(limits)), found


def check_full_gradients(variables: dict[str, Tensor], file: str, prefix: str) -> None:
    """The three gradients that a reference file stores in full."""
    checked = 0
    for key, stored in arrays(file).items():
        if key.startswith(f"{prefix}__"):
            grad = variables[key.removeprefix(f"{prefix}__").replace(".", "/")].grad
            assert grad is not None
            assert relative_error(grad, torch.from_numpy(stored).permute(3, 2, 0, 1)) < 1e-2, key
            checked += 1
    assert checked == 3
