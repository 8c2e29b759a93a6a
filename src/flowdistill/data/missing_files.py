"""Files of samples that are not there: what they are for, and what to do about it."""

from collections import defaultdict
from collections.abc import Iterable

from flowdistill.data.files import Group, SampleFile
from flowdistill.data.tree import report_missing

# What the files of a group are called, and what to do where some are missing.
_WORDS: dict[Group, tuple[str, str]] = {
    "image": (
        "images that the {view} view needs",
        "Complete the data, or choose a split that fits what is there{scan}.",
    ),
    "label": (
        "label files that the {view} view needs",
        "Without ground truth, set --data.init_args.val_labels false; training and predicting on labels need the "
        "files.",
    ),
    "proxy": (
        "proxy labels that the split asks for by labels=",
        "Put them there, or take a split without labels=.",
    ),
    "optional": (
        "optional files",
        "They are read because their folder is there: complete it, or move it away.",
    ),
}
_SCAN = ": `scan` takes every pair of frames"
_EXCLUDE = (
    " Or leave the samples out: `flowdistill data check --config YAML --exclude-to FILE` lists them for "
    "--data.init_args.exclude FILE."
)


def raise_missing(
    missing: Iterable[SampleFile], everything: Iterable[SampleFile], view: str, may_scan: bool
) -> None:
    """Raise the error for files of samples that are not there, if there are any.

    Args:
        missing: these files; one that several samples share may come several times.
        everything: all files of all samples; looked at only if any is missing.
        view: that the samples are read in.
        may_scan: whether a scan of the tree could take the split's place.

    Raises:
        UserError: images are missing, or else labels, or else proxy labels, or else optional files.
    """
    absent: dict[Group, dict[str, None]] = defaultdict(dict)
    for file in missing:
        absent[file.group][file.path] = None
    for group, (what, advice) in _WORDS.items():
        if group in absent:
            paths = list(absent[group])
            wanted = {file.path for file in everything if file.group == group}
            advice = advice.format(scan=_SCAN if may_scan else "")
            # Where most files are missing, it is the data that are to be mended, not the split.
            advice += _EXCLUDE if 2 * len(paths) < len(wanted) else ""
            report_missing(paths, len(wanted), what.format(view=view), advice)
