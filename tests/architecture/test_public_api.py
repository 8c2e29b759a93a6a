"""The public names and their signatures, pinned: a change of either shows in the diff of tests/golden/public_api.txt.

`python tests/architecture/test_public_api.py` writes the file anew.
"""

import importlib
import inspect
from pathlib import Path
from typing import Any

PINNED = Path(__file__).parents[1] / "golden" / "public_api.txt"
# What a default is written as; objects are "...".
_PLAIN = (int, float, str, tuple, type(None), type(inspect.Parameter.empty))
PACKAGES = (
    "flowdistill",
    "flowdistill.data",
    "flowdistill.data.transforms",
    "flowdistill.formats",
    "flowdistill.interop",
    "flowdistill.losses",
    "flowdistill.metrics",
    "flowdistill.networks",
    "flowdistill.render",
    "flowdistill.tracking",
    "flowdistill.training",
    "flowdistill.visual",
    "flowkernels",
)


def described(value: Any) -> str:
    """Arguments with their defaults; annotations are mypy's."""
    if not callable(value) or not (inspect.isclass(value) or inspect.isroutine(value)):
        return type(value).__name__
    if inspect.isclass(value) and issubclass(value, dict):
        return "class"
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return "class" if inspect.isclass(value) else "function"
    plain = [
        parameter.replace(
            annotation=inspect.Parameter.empty,
            default=parameter.default if isinstance(parameter.default, _PLAIN) else "...",
        )
        for parameter in signature.parameters.values()
    ]
    arguments = str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    return f"{'class' if inspect.isclass(value) else 'function'} {arguments}"


def api() -> str:
    lines = []
    for name in PACKAGES:
        package = importlib.import_module(name)
        lines += [f"{name}.{each}: {described(getattr(package, each))}" for each in sorted(package.__all__)]
    return "\n".join(lines) + "\n"


def test_the_public_api_is_the_pinned_one() -> None:
    """On purpose changed? Write the file anew, name the change in CHANGELOG.md, and keep the old name for a version."""
    found, pinned = api().splitlines(), PINNED.read_text().splitlines()
    assert len(found) > 100
    assert [line for line in found if line not in pinned] == []
    assert [line for line in pinned if line not in found] == []


def test_no_address_or_path_is_pinned() -> None:
    assert " at 0x" not in PINNED.read_text()
    assert "/" not in PINNED.read_text().replace("train/", "")


if __name__ == "__main__":
    PINNED.write_text(api())
