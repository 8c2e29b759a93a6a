"""Does an image fit into memory? An estimate, and the tile to use otherwise."""

from __future__ import annotations

from pathlib import Path

import torch

# Bytes per pixel of one image set that a network at its published width needs: the growth of a process's peak memory on
# a CPU at 384x1280 (also with confidence, and batches of two) and 768x2560, 530 to 890 and 1,050 to 1,180, rounded up.
BYTES_PER_PIXEL = {"flow": 900, "scene_flow": 1300}
USABLE = 0.8  # of the free memory
STEP = 64  # sides of tiles are multiples of it
SMALLEST_TILE = 256
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)


def bytes_needed(view: str, size: tuple[int, int], batch: int, width: float) -> int:
    """Estimate the memory of predicting a batch of images of (rows, columns).

    Examples:
        >>> from flowdistill.inference.memory import bytes_needed
        >>> bytes_needed("flow", (1000, 1000), batch=2, width=1.0) / 1e9  # GB
        1.8
    """
    return int(BYTES_PER_PIXEL[view] * size[0] * size[1] * batch * max(width, 0.25))


def fitting_tile(
    view: str, size: tuple[int, int], batch: int, width: float, free: int
) -> tuple[int, int] | None:
    """Return None if a batch fits into `free` bytes, else the largest tile that does: (rows, columns).

    Sides are halved in turn, the longer one first, and rounded up to multiples of 64.

    Examples:
        >>> from flowdistill.inference.memory import fitting_tile
        >>> [fitting_tile("flow", (2160, 3840), batch=1, width=1.0, free=gigabytes << 30) for gigabytes in (32, 8)]
        [None, (2160, 1920)]
    """
    tile = size
    while bytes_needed(view, tile, batch, width) > USABLE * free and max(tile) > SMALLEST_TILE:
        rows, columns = tile
        tile = (rows, _half(columns)) if columns >= rows else (_half(rows), columns)
    return None if tile == size else tile


def free_memory(device: torch.device) -> int:
    """Return the free bytes of a device: of the GPU, or of the machine within the limits of its container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = []
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        if "MemAvailable" in fields:
            found.append(int(fields["MemAvailable"].split()[0]) * 1024)
    for limit, usage, statistics in _CGROUPS:
        if Path(limit).is_file() and Path(usage).is_file():
            text = Path(limit).read_text().strip()
            if text.isdigit():
                found.append(int(text) - int(Path(usage).read_text()) + _files(Path(statistics)))
    return min(found, default=1 << 62)  # unknown: no tiles unless they are asked for


def _files(statistics: Path) -> int:
    """Return the bytes of files that a container keeps in memory and would give up."""
    if not statistics.is_file():
        return 0
    fields = dict(line.split() for line in statistics.read_text().splitlines() if len(line.split()) == 2)
    return int(fields.get("inactive_file", 0))


def _half(side: int) -> int:
    return max(SMALLEST_TILE, -(-side // 2 // STEP) * STEP)
