"""The part of docs/kernels.md that `make gpu-check` writes: counted floors and GPU measurements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from operators import OPERATORS

BEGIN, END = "<!-- gpu-check: begin -->", "<!-- gpu-check: end -->"
BANDWIDTH = 3.0e12  # bytes per second, an H100's order of magnitude; only for the modelled floor


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def floors() -> str:
    """Return a table of the minimum bytes moved by each operator, and their time at 3 TB/s."""
    rows = []
    for operator in OPERATORS:
        for shape in operator.shapes:
            forward, backward = operator.floor_bytes(shape, torch.float32)
            rows.append(
                [
                    operator.name, "x".join(map(str, shape)),
                    f"{forward / 1e6:.1f}", f"{1e6 * forward / BANDWIDTH:.1f}",
                    f"{backward / 1e6:.1f}", f"{1e6 * backward / BANDWIDTH:.1f}",
                ]
            )  # fmt: skip
    header = ["operator (float32)", "shape", "forward MB", "us at 3 TB/s", "backward MB", "us at 3 TB/s"]
    return table(header, rows)


def write(page: Path, measured: str) -> None:
    """Replace the text between the markers.

    Raises:
        SystemExit: the page has no markers.
    """
    text = page.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{page}: needs one {BEGIN} and one {END}, between which the tables are written")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    body = f"### Counted: bytes that cannot be avoided\n\n{floors()}\n\n### Measured\n\n{measured}\n"
    page.write_text(f"{head}{BEGIN}\n{body}{END}{tail}")
