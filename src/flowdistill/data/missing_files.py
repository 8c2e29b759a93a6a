"""Error messages for missing files of samples: their purpose and how to fix the problem."""

from collections import defaultdict
from collections.abc import Iterable

from flowdistill.data.files import Group, SampleFile
from flowdistill.data.tree import report_missing

# For each group: a description of its files, and advice if some are missing.
_WORDS: dict[Group, tuple[str, str]] = {
    "image": (
        "images that the {view} view needs",
        "Complete the data, or choose a split that matches the existing files{scan}.",
    ),
    "label": (
        "label files that the {view} view needs",
        "Without ground truth, set --data.init_args.val_labels false; training and predicting on labels need the "
        "files.",
    ),
    "proxy": (
        "proxy labels that the split requires by labels=",
        "Add them, or use a split without labels=.",
    ),
    "optional": (
        "optional files",
        "They are read because their folder exists: complete it, or move it away.",
    ),
}
_SCAN = ": `scan` uses every pair of frames"
_EXCLUDE = (
    " Or exclude the samples: `flowdistill data check --config YAML --exclude-to FILE` lists them for "
    "--data.init_args.exclude FILE."
)


def raise_missing(
    missing: Iterable[SampleFile], everything: Iterable[SampleFile], view: str, may_scan: bool
) -> None:
    """Raise the error for missing files of samples, if there are any.

    Args:
        missing: the missing files; a file shared by several samples may occur several times.
        everything: all files of all samples; iterated only if any is missing.
        view: in which the samples are read.
        may_scan: whether a scan could be used instead of the split.

    Raises:
        UserError: if images are missing, or else labels, or else proxy labels, or else optional files.
    """
    absent: dict[Group, dict[str, None]] = defaultdict(dict)
    for file in missing:
        absent[file.group][file.path] = None
    for group, (what, advice) in _WORDS.items():
        if group in absent:
            paths = list(absent[group])
            wanted = {file.path for file in everything if file.group == group}
            advice = advice.format(scan=_SCAN if may_scan else "")
            # If most files are missing, the data should be completed instead.
            advice += _EXCLUDE if 2 * len(paths) < len(wanted) else ""
            report_missing(paths, len(wanted), what.format(view=view), advice)
