"""`flowdistill submit check`: report everything in a submission that its server would reject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from flowdistill.errors import UserError
from flowdistill.formats.errors import read_bytes
from flowdistill.formats.png import inspect_png
from flowdistill.submission.content import check_flo, check_picture
from flowdistill.submission.kinds import Size, SubmissionKind
from flowdistill.submission.members import Fault, FolderMembers, Members, open_members
from flowdistill.submission.names import MISSING, match_names

#: KITTI's server rejects larger uploads: "Zip file content is either invalid or too large (>500 MB)", which refers to
#: the unpacked files.
KITTI_BYTES = 500 * 10**6


@dataclass(frozen=True)
class SubmissionReport:
    """Result of a check."""

    title: str  # benchmark and task it was checked for
    faults: list[Fault]
    notes: list[Fault]  # suspicious, but possibly intended
    files: int  # number of expected files that exist
    density: float  # fraction of their pixels that have a value


def check_submission(
    members: Members, kind: SubmissionKind, sizes: Mapping[str, Size] | None = None
) -> SubmissionReport:
    """Check names, formats, sizes and values; reads every file.

    Args:
        members: result of `open_members`.
        kind: the expected submission.
        sizes: test image -> its size, from `image_sizes`; None allows every size of the benchmark.

    Raises:
        UserError: the members are an archive, but the kind is not uploaded as a zip.
    """
    found, faults = match_names(members.names, kind)
    broken = {fault.file for fault in members.faults}  # a broken link is not also reported as missing
    missed = [fault for fault in faults if fault.problem != MISSING or fault.file not in broken]
    faults = [*members.faults, *missed]
    if kind.zipped and members.total_bytes() > KITTI_BYTES:
        detail = f"{members.total_bytes() / 1e6:.0f} MB unpacked"
        faults.append(
            Fault("/", "is larger than the 500 MB that the server accepts", "remove other files", detail)
        )
    first_of_image: dict[str, tuple[str, Size]] = {}
    notes: list[Fault] = []
    pixels = estimates = 0
    for path, name in tqdm(found.items(), unit="file", desc="check"):
        image = kind.files[path].image
        allowed = kind.sizes if sizes is None else frozenset({sizes[image]})
        content = kind.files[path].content
        if content != "flo":
            stored = members.read(name)
            if isinstance(stored, Fault):
                faults.append(stored)
                continue
            check = check_picture(name, stored, content, allowed)
        elif isinstance(members, FolderMembers):
            check = check_flo(name, members.folder / name, allowed)
        else:
            raise UserError(
                f"a submission to {kind.title} is not zipped: give the folder with clean and final that its bundler "
                "reads"
            )
        faults += check.faults
        notes += check.notes
        pixels, estimates = pixels + check.pixels, estimates + check.estimates
        if check.size in allowed:
            first, size = first_of_image.setdefault(image, (name, check.size))
            if check.size != size:
                detail = f"{check.size[0]} x {check.size[1]}, but {first} {size[0]} x {size[1]}"
                advice = "predict both at the size of the test image"
                faults.append(Fault(name, "differs in size from another file of its image", advice, detail))
    return SubmissionReport(kind.title, faults, notes, len(found), estimates / max(pixels, 1))


def image_sizes(folder: Path, kind: SubmissionKind) -> dict[str, Size]:
    """Return test image -> (height, width) px, read from the image files.

    Raises UserError for a missing image, FormatError for a damaged one.
    """
    missing = [image for image in kind.images if not (folder / image).is_file()]
    if missing:
        raise UserError(
            f"--images: {folder} lacks {len(missing)} of the {len(kind.images)} test images, first {missing[0]}; use "
            "the folder that contains them (testing/image_2 for KITTI 2015, testing/colored_0 or image_0 for 2012, "
            "test/clean for Sintel)"
        )
    sizes = {}
    for image in tqdm(kind.images, unit="image", desc="sizes"):
        header = inspect_png(folder / image, read_bytes(folder / image, "a test image"))
        sizes[image] = header.height, header.width
    return sizes


def check_path(path: Path, kind: SubmissionKind, sizes: Mapping[str, Size] | None = None) -> SubmissionReport:
    """Run `check_submission` on a file or folder; a file that is not an archive is also a fault."""
    members = open_members(path)
    if isinstance(members, Fault):
        return SubmissionReport(kind.title, [members], [], 0, 0.0)
    return check_submission(members, kind, sizes)
