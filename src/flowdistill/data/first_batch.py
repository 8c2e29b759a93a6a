"""A look at the label files of the first training batch: do their numbers look like what the format says?

The whole data is looked at by `flowdistill data check`; this is for those who start a training without it.
"""

from collections.abc import Sequence

from flowdistill.data.dataset import MotionDataset
from flowdistill.data.files import KITTI_DISPARITY, KITTI_FLOW, SampleFile
from flowdistill.data.mixture import Mixture
from flowdistill.data.notes import note
from flowdistill.data.sampler import sample_index, sample_numbers
from flowdistill.formats import read_kitti_disparity_codes, read_kitti_flow_codes
from flowdistill.formats.encodings import Oddity, odd_disparity_codes, odd_flow_codes


def warn_of_odd_labels(samples: MotionDataset | Mixture, seed: int, batch_size: int) -> None:
    """Print a remark on each way in which labels of the first batch are oddly encoded.

    Raises:
        FormatError: a file is damaged; training would raise the same.
    """
    numbers = sample_numbers(0, 0, 1, min(batch_size, len(samples)))
    files = [file for number in numbers for file in samples.files(sample_index(seed, number, len(samples)))]
    for problem, text in odd_labels(files).items():
        note(
            f"warning: {text}, which {problem}. Training believes it; `flowdistill data check` looks at all files."
        )


def odd_labels(files: Sequence[SampleFile]) -> dict[str, str]:
    """What is odd -> the words for the files that it was seen in. Small disparities count only where all are small."""
    odd: dict[str, list[tuple[str, Oddity]]] = {}
    disparities = 0
    for file in files:
        if file.kind == KITTI_FLOW:
            found = odd_flow_codes(read_kitti_flow_codes(file.path))
        elif file.kind == KITTI_DISPARITY:
            found = odd_disparity_codes(read_kitti_disparity_codes(file.path))
            disparities += 1
        else:
            continue  # other formats have no codes
        for oddity in found:
            odd.setdefault(oddity.problem, []).append((file.path, oddity))
    return {
        problem: f"{seen[0][0]} ({seen[0][1].detail})" + (f" and {len(seen) - 1} more" if seen[1:] else "")
        for problem, seen in odd.items()
        if seen[0][1].name != "small" or len(seen) == disparities
    }
