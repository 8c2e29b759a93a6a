"""All variants of all kernels, by name."""

from __future__ import annotations

import importlib

from flowkernels.triton_kernels.variant import Variant

MODULES = ("correlation", "warp", "census", "normalise")


def all_variants() -> dict[str, Variant]:
    """Return all kernel variants by name.

    Raises:
        ValueError: two variants have the same name.
    """
    found: dict[str, Variant] = {}
    for module in MODULES:
        for variant in importlib.import_module(f"flowkernels.triton_kernels.{module}").variants():
            if variant.name in found:
                raise ValueError(f"two kernel variants are named {variant.name}")
            found[variant.name] = variant
    return found
