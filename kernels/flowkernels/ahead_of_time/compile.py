"""Compile a kernel to the machine code of a GPU, which need not be present."""

from __future__ import annotations

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from flowkernels.triton_kernels.variant import Variant

WARP_SIZE = 32


def compile_variant(variant: Variant, capability: int) -> tuple[bytes, int]:
    """Compile one variant for a compute capability (90 is sm_90).

    Returns:
        The cubin, and the bytes of shared memory per program.

    Raises:
        ValueError: the variant does not name the kernel's arguments.
        triton.CompilationError: the kernel does not compile.
    """
    names = list(variant.kernel.arg_names)
    if set(names) != set(variant.signature) | set(variant.constants):
        raise ValueError(
            f"{variant.name}: the kernel takes {', '.join(names)}; the variant gives "
            f"{', '.join([*variant.signature, *variant.constants])}"
        )
    source = ASTSource(
        fn=variant.kernel,
        signature={name: variant.signature.get(name, "constexpr") for name in names},
        constexprs={(names.index(name),): value for name, value in variant.constants.items()},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in variant.divisible_by_16},
    )
    compiled = triton.compile(
        source,
        target=GPUTarget("cuda", capability, WARP_SIZE),
        options={"num_warps": variant.num_warps, "num_stages": variant.num_stages},
    )
    return compiled.asm["cubin"], compiled.metadata.shared
