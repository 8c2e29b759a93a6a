"""Markdown links to files and folders: relative to the page, and only to existing ones."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


class Links:
    """Formats paths as Markdown links.

    Args:
        page: the folder that will contain the page; without one nothing is linked.
    """

    def __init__(self, page: Path | None = None) -> None:
        self.page = page

    def file(self, path: str, text: str | None = None) -> str:
        """Format a path as code, linked if it exists relative to the page, else to the current folder."""
        shown = f"`{path if text is None else text}`"
        target = self._target(path)
        return shown if target is None else f"[{shown}]({target})"

    def address(self, text: str, address: str | None) -> str:
        """Link a text to an address, if there is one."""
        return text if address is None else f"[{text}]({address})"

    def _target(self, path: str) -> str | None:
        if self.page is None:
            return None
        if not Path(path).is_absolute() and (self.page / path).exists():
            return quote(Path(path).as_posix())
        try:
            if not path or not Path(path).exists():
                return None
            return quote(Path(os.path.relpath(Path(path).resolve(), self.page.resolve())).as_posix())
        except (OSError, ValueError):  # not a path, or on another drive
            return None
