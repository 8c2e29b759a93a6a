"""Plausibility check of the label files of the first samples: are the values encoded as the format specifies?

`flowdistill data check` examines all files; this check covers runs that are started without it.
"""

from collections.abc import Iterable, Sequence

from flowdistill.data.dataset import MotionDataset
from flowdistill.data.files import KITTI_DISPARITY, KITTI_FLOW, SampleFile
from flowdistill.data.mixture import Mixture
from flowdistill.data.notes import note
from flowdistill.data.sampler import sample_index, sample_numbers
from flowdistill.formats import read_kitti_disparity_codes, read_kitti_flow_codes
from flowdistill.formats.encodings import Oddity, odd_disparity_codes, odd_flow_codes


def first_batch(length: int, seed: int, batch_size: int) -> list[int]:
    """Return the indices of the first samples of a training run."""
    return [sample_index(seed, number, length) for number in sample_numbers(0, 0, 1, min(batch_size, length))]


def warn_of_odd_labels(samples: MotionDataset | Mixture, indices: Iterable[int]) -> None:
    """Print a warning for each kind of unusual encoding in the labels of some samples.

    Raises:
        FormatError: if a file is damaged; loading the sample would raise the same error.
    """
    files = [file for index in indices for file in samples.files(index)]
    for problem, text in odd_labels(files).items():
        note(
            f"warning: {text}, which {problem}. It is used as it is; `flowdistill data check` examines all files."
        )


def odd_labels(files: Sequence[SampleFile]) -> dict[str, str]:
    """Return problem -> description of the affected files. Small disparities are reported only if all are small."""
    odd: dict[str, list[tuple[str, Oddity]]] = {}
    disparities = 0
    for file in files:
        if file.kind == KITTI_FLOW:
            found = odd_flow_codes(read_kitti_flow_codes(file.path))
        elif file.kind == KITTI_DISPARITY:
            found = odd_disparity_codes(read_kitti_disparity_codes(file.path))
            disparities += 1
        else:
            continue  # other formats are not encoded as integers
        for oddity in found:
            odd.setdefault(oddity.problem, []).append((file.path, oddity))
    return {
        problem: f"{seen[0][0]} ({seen[0][1].detail})" + (f" and {len(seen) - 1} more" if seen[1:] else "")
        for problem, seen in odd.items()
        if seen[0][1].name != "small" or len(seen) == disparities
    }
