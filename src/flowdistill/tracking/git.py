"""The commit of the running code."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import flowdistill
from flowdistill.tracking.sections import Code

# Set in git hooks, for example: they would make git use another repository than the folder's.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")


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
