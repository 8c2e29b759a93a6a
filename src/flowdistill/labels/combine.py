"""Combine the estimates of several teachers into labels of one sample: pick the most confident, then filter.

Names are those of the batch contract; all arrays are (H, W, C) or (H, W).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowdistill.data.sample import Sample
from flowdistill.errors import UserError
from flowdistill.labels.confidence import confidence, direct_confidence
from flowdistill.labels.config import LabelConfig
from flowdistill.labels.estimate import Estimate, Mask, Teacher, Values
from flowdistill.labels.sample_at import sample_at
from flowdistill.losses.occlusion import occlusion_masks


@dataclass(frozen=True)
class Label:
    """One motion of one sample.

    Attributes:
        values: (H, W, C) px.
        known: (H, W), where a teacher gives a value.
        confidence: (H, W) in [0, 1], 0 where not known.
        keep: (H, W), the pixels that passed the filter: the label's valid pixels.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.combine import Label
        >>> values, known = np.float32([[[8.0], [9.0]]]), np.array([[True, True]])
        >>> sure = np.float32([[0.9, 0.2]])
        >>> label = Label(values, known, sure, keep=known & (sure >= 0.5))
        >>> label.values[label.keep].tolist()
        [[8.0]]
    """

    values: Values
    known: Mask
    confidence: Values
    keep: Mask


@dataclass(frozen=True)
class SampleLabels:
    """Labels of a sample: motions by key of the batch contract, and the occlusion masks (H, W) of the flows, if any."""

    motions: dict[str, Label]
    occluded: dict[str, Mask]


def make_labels(sample: Sample, teachers: Mapping[str, Teacher], config: LabelConfig) -> SampleLabels:
    """Run the teachers on a sample, combine their estimates and filter by confidence.

    Args:
        sample: with the images of the config's view.
        teachers: by their names in the config.
        config: see `LabelConfig`.

    Raises:
        UserError: a teacher does not give a motion that the config requires, or its estimates do not fit the images.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from flowdistill.labels.combine import make_labels
        >>> from flowdistill.labels.config import LabelConfig, Motions, OpenCVPart, TeacherPart
        >>> from flowdistill.labels.opencv_teacher import OpenCVTeacher
        >>> part, motions = OpenCVPart(preset="fast"), Motions(flow=["matcher"])
        >>> config = LabelConfig({"matcher": TeacherPart(opencv=part)}, motions, view="flow")
        >>> row = torch.linspace(0, 30, 64).sin().abs()
        >>> image = (row[:, None] * row).expand(3, 64, 64)
        >>> sample = {"name": "000000_10", "left_t0": image, "left_t1": image.roll(2, dims=-1)}  # 2 px to the right
        >>> labels = make_labels(sample, {"matcher": OpenCVTeacher(part, disparity=False)}, config)
        >>> list(labels.motions), np.median(labels.motions["flow"].values, axis=(0, 1)).round(1).tolist()
        (['flow', 'flow_backward'], [2.0, 0.0])
    """
    said = {name: teacher(sample) for name, teacher in teachers.items()}
    size = tuple(sample["left_t0"].shape[-2:])
    for name, estimates in said.items():
        for key, estimate in estimates.items():
            if estimate.known.shape != size:
                raise UserError(
                    f"{sample['name']}: teachers.{name} gives {key} of {estimate.known.shape[0]}x"
                    f"{estimate.known.shape[1]} px, but the images have {size[0]}x{size[1]} (height x width)."
                )
    motions: dict[str, Label] = {}
    occluded: dict[str, Mask] = {}
    if config.motions.flow:
        motions["flow"] = _fused("flow", config.motions.flow, said, sample, config)
        if config.motions.backward:
            backward = _fused("flow_backward", config.motions.flow, said, sample, config)
            motions["flow_backward"] = backward
            occluded = _occluded(motions["flow"], backward)
    if config.motions.disparity:
        motions["disparity_t0"] = _fused("disparity_t0", config.motions.disparity, said, sample, config)
        if config.motions.flow:
            motions["disparity_t1"] = _next_disparity(motions["flow"], said, sample, config)
    return SampleLabels(motions, occluded)


def _fused(
    key: str,
    names: Sequence[str],
    said: Mapping[str, dict[str, Estimate]],
    sample: Sample,
    config: LabelConfig,
) -> Label:
    checks = config.confidence.flow if "flow" in key else config.confidence.disparity
    judged = [(_given(key, name, said), confidence(key, said[name], sample, checks, name)) for name in names]
    return _most_confident(judged, checks.keep)


def _given(key: str, name: str, said: Mapping[str, dict[str, Estimate]]) -> Estimate:
    if key not in said[name]:
        raise UserError(
            f"motions: teachers.{name} is listed for {'flow' if 'flow' in key else 'disparity'}, but gives no {key}, "
            f"only {', '.join(said[name]) or 'nothing'}."
        )
    return said[name][key]


def _most_confident(judged: Sequence[tuple[Estimate, Values]], keep: float) -> Label:
    """Select per pixel the estimate with the highest confidence; on ties the first known one."""
    first, sure = judged[0]
    values, known = first.values, first.known
    for estimate, other in judged[1:]:
        better = estimate.known & ((other > sure) | ~known)
        values = np.where(better[..., None], estimate.values, values)
        known, sure = known | estimate.known, np.where(better, other, sure)
    return Label(values, known, sure, known & (sure >= keep))


def _next_disparity(
    flow: Label, said: Mapping[str, dict[str, Estimate]], sample: Sample, config: LabelConfig
) -> Label:
    """Make `disparity_t1` on the grid of left_t0: valid only where the flow is."""
    names, checks = config.motions.disparity, config.confidence.disparity
    if config.motions.disparity_t1 == "direct":
        judged, along = [], Estimate(flow.values, flow.known)
        for name in names:
            own = _given("disparity_t1", name, said)
            judged.append((own, direct_confidence(own, along, sample, checks, name)))
        label = _most_confident(judged, checks.keep)
        values, found, trust = label.values, label.known, label.confidence
    else:
        stereo = _fused("disparity_next", names, said, sample, config)
        sampled = sample_at(stereo.values, stereo.known, flow.values, stereo.confidence)
        values, found, trust = sampled.values, sampled.found, sampled.confidence
    known = found & flow.known
    sure_of_both = np.where(known, np.minimum(trust, flow.confidence), np.float32(0))
    return Label(values, known, sure_of_both, known & flow.keep & (trust >= checks.keep))


def _occluded(forward: Label, backward: Label) -> dict[str, Mask]:
    """Apply DDFlow's forward-backward check to unfiltered flows; flow to an unknown target is occluded, too."""
    found = occlusion_masks(_batch(forward.values), _batch(backward.values))
    result = {}
    for key, mask, there, back in (
        ("occluded", found[0], forward, backward),
        ("occluded_backward", found[1], backward, forward),
    ):
        met = sample_at(back.values, back.known, there.values, edge=np.inf).found & there.known
        result[key] = mask[0, 0].numpy() | ~met
    return result


def _batch(flow: Values) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(flow.transpose(2, 0, 1)))[None]
