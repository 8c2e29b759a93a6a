"""Pack a submission: the same files give the same archive, and a killed run leaves none."""

from __future__ import annotations

import secrets
import zipfile
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from flowdistill.errors import UserError

# The earliest time that zip can store. The current time would make every archive different.
_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644 << 16


def write_zip(archive: Path, folder: Path, names: Iterable[str]) -> None:
    """Pack files of a folder, under their relative paths, without compression: PNG is compressed already.

    The archive gets its name when it is complete; until then, it is a hidden file in the same folder.

    Raises:
        UserError: `archive` exists (it is not replaced), or cannot be written.
    """
    unfinished = archive.parent / f".flowdistill-{secrets.token_hex(8)}.tmp"
    try:
        with zipfile.ZipFile(unfinished, "x", zipfile.ZIP_STORED) as stream:
            for name in tqdm(list(names), unit="file", desc="zip"):
                info = zipfile.ZipInfo(name, _TIME)
                info.external_attr = _MODE
                stream.writestr(info, (folder / name).read_bytes())
        if archive.exists():
            raise UserError(f"{archive} exists and is not replaced; the new submission was not kept")
        unfinished.rename(archive)
    except OSError as error:
        raise UserError(f"{archive}: cannot be written ({error.strerror or error})") from error
    finally:
        unfinished.unlink(missing_ok=True)
