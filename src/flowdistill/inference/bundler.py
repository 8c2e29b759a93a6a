"""Run Sintel's own `bundler`, downloaded from the benchmark's page: two passes of flow -> the file to upload.

Usage, from its README: `bundler DIR_CLEAN DIR_FINAL OUTFILE`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from flowdistill.errors import UserError


def bundle_path(folder: Path) -> Path:
    """Return the output file for a folder: beside it, so that the folder contains only flow.

    Examples:
        >>> from pathlib import Path
        >>> from flowdistill.inference.bundler import bundle_path
        >>> bundle_path(Path("results/mine")).as_posix()
        'results/mine.lzma'
    """
    return folder.with_name(f"{folder.name}.lzma")


def bundle_command(bundler: str, folder: Path) -> list[str]:
    """Return the command for a folder with clean and final. (Folders end with a slash, as in the README.)

    Examples:
        >>> from pathlib import Path
        >>> from flowdistill.inference.bundler import bundle_command
        >>> bundle_command("./bundler", Path("results"))
        ['./bundler', 'results/clean/', 'results/final/', 'results.lzma']
    """
    return [bundler, f"{folder / 'clean'}/", f"{folder / 'final'}/", str(bundle_path(folder))]


def check_bundler(bundler: Path, folder: Path) -> None:
    """Raise UserError if the program cannot be run or its output exists; call it before predicting."""
    if not bundler.is_file():
        raise UserError(
            f"--bundler: there is no file {bundler}; name the program of Sintel's bundler archive"
        )
    if not os.access(bundler, os.X_OK):
        raise UserError(f"--bundler: {bundler} may not be executed; run `chmod +x {bundler}`")
    if bundle_path(folder).exists():
        raise UserError(
            f"--bundler: its output {bundle_path(folder)} exists and is not replaced; move it away"
        )


def run_bundler(bundler: Path, folder: Path) -> Path:
    """Run the bundler and return the file to upload; its output goes to the terminal.

    Raises UserError if it cannot be run, fails, or writes no file.
    """
    command = bundle_command(str(bundler.absolute()), folder)
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise UserError(f"--bundler: {bundler} cannot be run ({error.strerror or error})") from error
    output = bundle_path(folder)
    if code != 0 or not output.is_file():
        reason = f"ended with code {code}" if code != 0 else f"wrote no file {output}"
        raise UserError(f"--bundler: {bundler} {reason}; the flow is in {folder}")
    return output
