"""Cost of a training step: counts against formulas, and plausibility of the other numbers."""

import json
from pathlib import Path

import pytest
import torch

from flowdistill.cli.flowdistill import main
from flowdistill.inference.measure_step import largest, measure, parts_of
from flowdistill.inference.profile import table
from flowdistill.training import AverageTeacher, DDFlowModule, DwarfModule, JointTeacher

KITTI = {"loss": "sparse_full_resolution", "alphas": {2: 1.0}}


def test_parameters_are_the_published_network_s() -> None:
    module = DwarfModule(**KITTI)  # type: ignore[arg-type]
    found = measure(module, 1, (64, 64), 0, "32-true", "cpu")
    counts = {part.name: part.parameters for part in found.parts}
    assert counts["network, forward"] == 19_618_196
    parts = [counts[name] for name in parts_of(module.network)]
    assert sum(count for count in parts if count is not None) == 19_618_196
    assert found.fixed == 4 * 4 * 19_618_196


def test_operations_are_those_of_the_convolutions_and_correlations() -> None:
    """DDFlow's first levels by hand: extractor, and operations between the parts."""
    module = DDFlowModule({"census_no_occlusion": 1.0}, width=0.25)
    height, width = 64, 128
    found = measure(module, 2, (height, width), 0, "32-true", "cpu")
    flops = {part.name: part.flops for part in found.parts}
    expected = 0
    images = 2 * 2  # in the batch
    convolutions = [m for m in module.network.extractor.modules() if isinstance(m, torch.nn.Conv2d)]
    h, w = height, width
    for layer in convolutions:
        h, w = -(-h // layer.stride[0]), -(-w // layer.stride[1])
        expected += 2 * images * h * w * layer.out_channels * layer.in_channels * 9
    assert flops["extractor"] == expected
    # A correlation of 81 shifts at each of five levels, in both directions.
    between, channels = 0, [layer.out_channels for layer in convolutions][1::2]
    for level in range(2, 7):
        h, w = -(-height // 2**level), -(-width // 2**level)
        between += 2 * images * 81 * h * w * channels[level - 1]
    assert flops["between (correlation, warps)"] == between
    again = measure(module, 4, (height, width), 0, "32-true", "cpu")
    assert {part.name: part.flops for part in again.parts}["network, forward"] == 2 * (
        flops["network, forward"] or 0
    )


def test_checkpointing_keeps_less_and_a_teacher_costs_its_weights() -> None:
    losses = {"census_occlusion": 1.0, "distillation": 1.0}
    plain = DDFlowModule(losses, AverageTeacher(0.9), (64, 96), 0.25)
    again = DDFlowModule(losses, AverageTeacher(0.9), (64, 96), 0.25, checkpoint_activations=True)
    kept, less = (measure(module, 1, (64, 128), 0, "32-true", "cpu") for module in (plain, again))
    assert less.kept < 0.8 * kept.kept
    own = sum(weight.numel() for weight in plain.network.parameters())
    assert kept.fixed == 4 * (4 * own + own)
    assert {part.name: part.parameters for part in kept.parts}["teacher (its time is in the loss's)"] == own
    assert "teacher" in table(kept)
    trained = measure(DDFlowModule(losses, JointTeacher(), (64, 96), 0.25), 1, (64, 128), 0, "32-true", "cpu")
    assert trained.fixed == 4 * 4 * (2 * own)  # weight, gradient and moments of both
    assert trained.kept > 1.5 * kept.kept


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 37, 64, 65])
def test_the_largest_that_fits_is_found(limit: int) -> None:
    asked: list[int] = []

    def fits(count: int) -> bool:
        asked.append(count)
        return count <= limit

    assert largest(fits) == (limit or None)
    assert len(asked) <= 2 * max(limit, 1).bit_length() + 2


def test_the_command_takes_the_arguments_of_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    configs = [
        part
        for name in ("demo/dwarf.yaml", "data/rendered.yaml", "trainer/cpu.yaml")
        for part in ("--config", f"configs/{name}")
    ]
    numbers = tmp_path / "numbers.json"
    small = ["--model.init_args.width", "0.125", "--data.init_args.batch_size", "2"]
    assert main(["profile", *configs, "--size", "64x128", "--json", str(numbers), *small]) == 0
    said = capsys.readouterr().out
    assert said.startswith("DwarfModule, a training step of 2 samples of 64x128, 32-true, on cpu\n")
    assert "largest batch of one process" in said
    stored = json.loads(numbers.read_text())
    assert (stored["batch"], stored["size"]) == (2, [64, 128])
    assert not list(tmp_path.glob("*.ckpt"))
    for wrong, text in {
        ("--size", "64"): "--size is '64'; give height x width",
        ("--size", "64x128", "--batch-size", "0"): "--batch-size must be 1 or more",
        (): "crop is not set: use --size",
        ("--size", "64x128", "--model.init_args.width", "-1"): "width must be positive",
    }.items():
        assert main(["profile", *configs, *wrong]) == 2
        assert text in capsys.readouterr().err
