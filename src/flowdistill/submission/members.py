"""Files inside a submission, which is a zip archive or a folder; nothing is unpacked."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from flowdistill.data.access import is_folder, is_nowhere
from flowdistill.data.tree import files_below
from flowdistill.errors import UserError

#: Larger than any image of a benchmark; members with a larger declared size are not read.
LARGEST_MEMBER = 1 << 26
_ENCRYPTED = 1
_UNIX = 3  # creator system whose file modes an archive stores


@dataclass(frozen=True)
class Fault:
    """Something that the server would reject."""

    file: str  # path in the submission, ending with / for a folder; or the submission itself
    problem: str  # what is wrong, worded identically for every file with this problem
    advice: str  # what to do
    detail: str = ""  # details for this file


class FolderMembers:
    """A folder before zipping or bundling; links are followed, as zip does.

    Attributes:
        names: paths of its files, with / between folders, sorted.
        faults: of the folder itself, and of members that are not in `names`.

    Raises UserError if a folder cannot be listed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[Fault] = []
        self.names: list[str] = []

        def on_loop(name: str) -> None:
            self.faults.append(Fault(f"{name}/", "is a link to one of its parent folders", "remove the link"))

        for name in sorted(files_below(folder, on_loop)):
            if is_nowhere(folder / name):
                target = f"to {os.readlink(folder / name)}"
                self.faults.append(Fault(name, "is a broken link", "copy the file here", target))
            else:
                self.names.append(name)

    def read(self, name: str) -> bytes | Fault:
        """Return a file's bytes, or the reason why it cannot be read."""
        path = self.folder / name
        try:
            size = path.stat().st_size
            if size > LARGEST_MEMBER:
                return _too_large(name, size)
            if not path.is_file():  # reading from a pipe would wait for its writer
                return Fault(name, "is not a file", "remove it")
            return path.read_bytes()
        except OSError as error:
            return Fault(name, "cannot be read", "check its permissions", error.strerror or str(error))

    def total_bytes(self) -> int:
        """Return the unpacked size of all files."""
        return sum((self.folder / name).stat().st_size for name in self.names)


class ZipMembers:
    """A zip archive, with the attributes of `FolderMembers`. Raises zipfile.BadZipFile for any other file."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        everything = [info for info in self._archive.infolist() if not info.is_dir()]
        infos = [info for info in everything if not _is_link(info)]
        self._infos = {info.filename: info for info in infos}
        self.names = sorted(self._infos)
        count = Counter(info.filename for info in infos)
        repeated = [name for name in count if count[name] > 1]
        links = [info.filename for info in everything if _is_link(info)]
        self.faults = [
            *(Fault(name, "is in the archive more than once", "zip into a new archive") for name in repeated),
            *(Fault(name, "is a link, not a file", "zip again, without -y") for name in links),
        ]

    def read(self, name: str) -> bytes | Fault:
        """Return a file's bytes, or the reason why it cannot be read."""
        info = self._infos[name]
        if info.flag_bits & _ENCRYPTED:
            return Fault(name, "is encrypted", "zip without a password")
        if info.file_size > LARGEST_MEMBER:
            return _too_large(name, info.file_size)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            advice = "zip with deflate or without compression"
            return Fault(name, "uses an unsupported compression method", advice)
        try:
            return self._archive.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            return Fault(name, "is damaged in the archive", "zip again", str(error))

    def total_bytes(self) -> int:
        """Return the unpacked size of all files."""
        return sum(info.file_size for info in self._infos.values())


Members = FolderMembers | ZipMembers


def open_members(path: Path) -> Members | Fault:
    """Open a submission; return its members, or the reason why it cannot be opened.

    Raises UserError if `path` does not exist, or is a file written by Sintel's bundler.
    """
    if is_folder(path):
        return FolderMembers(path)
    if not path.is_file():
        raise UserError(f"there is no file or folder {path}; give the submission to check")
    if path.suffix == ".lzma":
        raise UserError(
            f"{path}: the output of Sintel's bundler cannot be checked; check the folder with clean and final that it "
            "was made from"
        )
    try:
        return ZipMembers(path)
    except zipfile.BadZipFile as error:
        advice = "zip the folders again, and copy the complete archive"
        return Fault(path.name, "is not a zip archive, or is truncated", advice, str(error))
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({error.strerror or error})") from error


def _is_link(info: zipfile.ZipInfo) -> bool:
    return info.create_system == _UNIX and stat.S_ISLNK(info.external_attr >> 16)


def _too_large(name: str, size: int) -> Fault:
    return Fault(name, "is too large for an image of the benchmark", "write it again", f"{size} bytes")
