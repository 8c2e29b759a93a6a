"""What a step ran on: versions, the code's commit, the machine, the devices of a trainer, and peak memory."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

import flowdistill
from flowdistill.tracking.sections import Code

_PACKAGES = (
    "torch", "triton", "pytorch-lightning", "torchmetrics", "kornia", "albumentations", "numpy",
    "opencv-python-headless",
)  # fmt: skip

# Set in git hooks, for example: they would make git use another repository than the folder's.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")


def versions() -> dict[str, str | None]:
    """Return versions by package name; None if not installed. The packages are not imported."""
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "flowdistill": flowdistill.__version__,
    }
    for package in _PACKAGES:
        name = package.removesuffix("-python-headless")
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            found[name] = None
    return found


def machine() -> dict[str, Any]:
    """Describe the operating system, the processor, and the usable GPUs; `cuda` is the version torch was built for."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "os": platform.platform(),
        "cpu": _processor(),
        "cpu_count": os.cpu_count(),
        "cuda": torch.version.cuda if gpus else None,
        "gpus": gpus,
    }


def devices(trainer: pl.Trainer) -> dict[str, Any]:
    """Describe the devices of a trainer: their number over all nodes, the names of this node's."""
    kind = trainer.strategy.root_device.type
    names = [torch.cuda.get_device_name(index) for index in trainer.device_ids] if kind == "cuda" else []
    return {
        "accelerator": kind,
        "devices": trainer.world_size,
        "nodes": trainer.num_nodes,
        "precision": str(trainer.precision),
        "names": names or [_processor()],
    }


def peak_memory(device: torch.device | None = None) -> dict[str, int | None]:
    """Return peaks of this process since its start: resident memory, and torch's allocation on a CUDA device."""
    on_gpu = device is not None and device.type == "cuda"
    return {"process": _peak_resident(), "cuda": torch.cuda.max_memory_allocated(device) if on_gpu else None}


def _peak_resident() -> int | None:
    # Not getrusage on Linux: its maximum starts with the memory of the parent process.
    if found := _in_proc("self/status", "VmHWM"):
        return int(found.split()[0]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    return _in_proc("cpuinfo", "model name") or platform.processor() or platform.machine()


def _in_proc(file: str, key: str) -> str | None:
    """Return the value of the first line `KEY: VALUE` of a file in /proc; None if there is none."""
    path = Path("/proc", file)
    found = re.search(rf"^{key}\s*:(.*)$", path.read_text(), re.MULTILINE) if path.is_file() else None
    return None if found is None else found[1].strip()


def code_state(package: Path | None = None, working: Path | None = None) -> Code:
    """Return the commit of the repository that tracks flowdistill's source; else of the working directory's repository.

    An installed flowdistill may be in a virtual environment inside an unrelated repository, so only a repository that
    tracks its files counts.

    Args:
        package: flowdistill's folder; by default of the imported package.
        working: by default the current folder.
    """
    package = package or Path(flowdistill.__file__).parent
    working = working or Path.cwd()
    try:
        tracked = _git(package, "ls-files", "--error-unmatch", "__init__.py").returncode == 0
        folder = package if tracked else working
        head = _git(folder, "rev-parse", "--show-toplevel", "HEAD")
        status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.TimeoutExpired) as error:
        return no_commit(f"git cannot be run: {error}")
    if head.returncode != 0 and "not a git repository" in head.stderr:
        return no_commit(f"neither flowdistill's source nor {folder} lies in a git repository")
    for ran in (head, status):
        if ran.returncode != 0:
            return no_commit(f"git in {folder}: {ran.stderr.strip().partition(chr(10))[0]}")
    root, commit = head.stdout.splitlines()
    return {"commit": commit, "dirty": bool(status.stdout.strip()), "folder": root, "reason": None}


def no_commit(reason: str) -> Code:
    """Return the state of code without a commit."""
    return {"commit": None, "dirty": None, "folder": None, "reason": reason}


def commit_page(code: Code) -> str | None:
    """Return the URL of a commit's page, if its repository is on GitHub or GitLab."""
    if code["commit"] is None or code["folder"] is None:
        return None
    try:
        found = _git(Path(code["folder"]), "remote", "get-url", "origin")
    except (OSError, subprocess.TimeoutExpired):
        return None
    remote = found.stdout.strip()
    match = re.fullmatch(r"(?:https://(?:[^@/]*@)?|(?:ssh://)?git@)([^/:]+)[/:](.+?)(?:\.git)?/?", remote)
    if found.returncode != 0 or match is None or not re.search(r"git(hub|lab)", match[1]):
        return None
    return f"https://{match[1]}/{match[2]}/commit/{code['commit']}"


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    # Do not take locks: another git process may be running.
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=30, errors="replace"
    )
