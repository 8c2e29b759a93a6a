"""Confidence: its measures against slow definitions, its evidence on exact motions, its probabilities end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import flowdistill
from flowdistill.cli.flowdistill import main
from flowdistill.errors import UserError
from flowdistill.formats import read_image, write_image
from flowdistill.inference.calibration import FEATURES, Calibration, features, fit_logistic, read_calibration
from flowdistill.inference.evidence import gather_evidence
from flowdistill.metrics.sparsification import ause, calibration_error, sparsification
from flowdistill.networks import DDFlowNet, Dwarf
from flowdistill.render import render_scene
from saved_network import saved


def test_sparsification_equals_its_definition() -> None:
    rng = np.random.default_rng(1)
    error = rng.exponential(size=997)
    confidence = rng.permutation(997).astype(float)  # no ties
    order = np.argsort(-confidence)
    curve = sparsification(error, confidence)
    for step in (0, 1, 50, 99):
        kept = int(np.ceil(997 * (1 - step / 100)))
        assert curve[step] == pytest.approx(error[order[:kept]].mean())
    assert curve[0] == pytest.approx(error.mean())
    # The order of equal confidences has no influence; a constant confidence keeps the mean.
    coarse = np.round(confidence / 100)
    shuffled = rng.permutation(997)
    np.testing.assert_allclose(
        sparsification(error, coarse), sparsification(error[shuffled], coarse[shuffled])
    )
    np.testing.assert_allclose(sparsification(error, np.zeros(997)), error.mean())
    assert ause(error, -error) == 0
    assert (
        0
        < ause(error, -error - rng.normal(size=997))
        < ause(error, rng.normal(size=997))
        < ause(error, error)
    )


def test_calibration_error_of_known_probabilities() -> None:
    rng = np.random.default_rng(2)
    probability = rng.uniform(size=400_000)
    correct = rng.uniform(size=400_000) < probability
    assert calibration_error(probability, correct) < 0.01
    assert calibration_error(np.clip(probability + 0.2, 0, 1), correct) == pytest.approx(0.18, abs=0.01)


def test_logistic_fit_is_the_maximum_of_the_likelihood() -> None:
    """Its gradient vanishes; and it equals a fit by another optimiser."""
    rng = np.random.default_rng(3)
    x = np.concatenate([np.ones((5000, 1)), rng.normal(size=(5000, 3)) * [1, 10, 0.1] + [0, 5, 0]], axis=1)
    correct = rng.uniform(size=5000) < 1 / (1 + np.exp(-(x @ [0.3, 1.0, -0.2, 4.0])))
    found = fit_logistic(x, correct)
    weights = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([1, 1, 0.1, 10], dtype=torch.float64)
    optimiser = torch.optim.LBFGS([weights], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logits = torch.from_numpy(x) @ (weights * scale)
        value = nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(correct).double())
        value.backward()
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(found, (weights * scale).detach().numpy(), rtol=0.05, atol=0.02)


def test_evidence_on_exact_motions_is_small_where_points_are_visible() -> None:
    """Rendered truth as the network's motions; and large where the truth is shifted by 4 px."""
    frame = next(iter(render_scene(3, 1, 2, (96, 160))))
    images = {
        name: torch.from_numpy(getattr(frame, name).transpose(2, 0, 1).copy())[None].float() / 255
        for name in ("left_t0", "right_t0", "left_t1", "right_t1")
    }
    truth = {
        name: torch.from_numpy(np.ascontiguousarray(getattr(frame, name).transpose(2, 0, 1)))[None]
        for name in ("flow", "flow_backward", "disparity_t0", "disparity_t1")
    }
    visible = torch.from_numpy(~frame.occluded[..., 0])

    def upside_down(_: Any) -> dict[str, torch.Tensor]:
        flipped = truth["flow"].flip(-2)
        return {"flow": torch.cat([flipped[:, :1], -flipped[:, 1:]], dim=1)}

    flow_only = {"flow": truth["flow"], "flow_backward": truth["flow_backward"]}
    found = gather_evidence(upside_down, images, flow_only)["flow"][0]
    assert found[2].max() == 0
    inside = visible & (found[3] == 0)
    assert found[0][inside].median() < 0.1
    shifted = {"flow": truth["flow"] + 4, "flow_backward": truth["flow_backward"]}
    wrong = gather_evidence(upside_down, images, shifted)["flow"][0]
    assert wrong[0][inside].median() > 3
    assert wrong[1][inside].mean() > 1.5 * found[1][inside].mean()
    assert wrong[2].median() == pytest.approx(np.hypot(4, 4) / 2, abs=1e-4)
    assert not found[3][visible].any()  # a visible point is inside


def test_pixels_outside_do_not_depend_on_what_cannot_be_known() -> None:
    evidence = torch.rand(1, 4, 20, 30)
    evidence[:, 3] = 1
    other = evidence.clone()
    other[:, :2] = 40
    torch.testing.assert_close(features(evidence), features(other))
    assert features(evidence).shape == (1, FEATURES, 20, 30)


def test_fit_infer_and_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = saved(Dwarf, tmp_path / "dwarf.ckpt")
    command = ["confidence", "fit", "--checkpoint", str(checkpoint), "--scenes", "2", "--size", "64x128"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "| disparity_t1 |" in told
    stored = json.loads((tmp_path / "dwarf.confidence.json").read_text())
    assert set(stored["coefficients"]) == {"flow", "disparity_t0", "disparity_t1"}
    assert (tmp_path / "dwarf.confidence.png").read_bytes().startswith(b"\x89PNG")
    frame = next(iter(render_scene(3, 1, 2, (64, 128))))
    predictor = flowdistill.load(checkpoint, device="cpu")
    pictures = (frame.left_t0, frame.left_t1, frame.right_t0, frame.right_t1)
    found = predictor.predict(*pictures, confidence=True)
    for name in ("flow", "disparity_t0", "disparity_t1"):
        at_three, at_one = found[f"confidence_{name}"], found[f"confidence_{name}_1px"]
        assert at_three.shape == (64, 128)
        assert 0 <= at_three.min() <= at_three.max() <= 1
        assert at_one.mean() < at_three.mean()  # an error under 1 px is under 3 px, too
    assert "disparity_next" not in found
    paths = []
    for name in ("left_t0", "right_t0", "left_t1", "right_t1"):
        paths.append(tmp_path / f"{name}.png")
        write_image(paths[-1], getattr(frame, name))
    infer = ["infer", "--checkpoint", str(checkpoint), "--confidence", *map(str, paths)]
    assert main([*infer, "--output", str(tmp_path / "out"), "--format", "npz"]) == 0
    grey = read_image(tmp_path / "out" / "confidence_flow" / "left_t0.png")[..., 0]
    np.testing.assert_allclose(grey / 255, found["confidence_flow"], atol=0.51 / 255)
    assert not (tmp_path / "out" / "flow_backward").exists()


def test_other_weights_are_named_uncalibrated_and_none_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = saved(DDFlowNet, tmp_path / "flow.ckpt")
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    with pytest.raises(UserError, match="flowdistill confidence fit"):
        flowdistill.load(checkpoint, device="cpu").predict(image, image, confidence=True)
    assert (
        main(
            [
                "infer",
                "--checkpoint",
                str(checkpoint),
                str(tmp_path),
                "--output",
                str(tmp_path / "out"),
                "--confidence",
            ]
        )
        == 2
    )
    assert "flowdistill confidence fit" in capsys.readouterr().err
    weights = {1: [0.0] * FEATURES, 3: [1.0] + [0.0] * (FEATURES - 1)}
    other = tmp_path / "other.json"
    Calibration({"flow": weights}, "of another network").save(other)
    found = flowdistill.load(checkpoint, device="cpu", calibration=other).predict(
        image, image, confidence=True
    )
    assert "uncalibrated" in capsys.readouterr().err
    np.testing.assert_allclose(found["confidence_flow"], 1 / (1 + np.exp(-1)), rtol=1e-5)
    np.testing.assert_allclose(found["confidence_flow_1px"], 0.5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a calibration"),
        ("[]", "not a calibration"),
        ('{"version": 0}', "version 0"),
        (
            '{"version": 1, "weights_sha256": "", "about": {}, "coefficients": {"flow": {"3": [1]}}}',
            "not a calibration",
        ),
    ],
)
def test_damaged_calibrations(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.confidence.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_calibration(path, "--calibration")
