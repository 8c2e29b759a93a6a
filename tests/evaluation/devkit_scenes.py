"""The scenes evaluated with KITTI's official tool (tests/golden/kitti_devkit), and its results."""

import json
from functools import cache
from pathlib import Path
from typing import Any

DEVKIT = Path(__file__).parents[1] / "golden" / "kitti_devkit"
SCENES = ["000000_10", "000001_10", "000002_10"]


@cache
def expected() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DEVKIT / "expected.json").read_text())
    return content


def official() -> dict[str, Any]:
    content: dict[str, Any] = expected()["variants"]["official_float_ratio"]
    return content
