"""Stage 3 in the training step: reference values, both kinds of teacher, the student's crop, weights of 0."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import reference
from flowdistill.data import collate, open_dataset
from flowdistill.errors import UserError
from flowdistill.inference.writer import write_labels
from flowdistill.interop import tensorflow_variables
from flowdistill.losses import Schedule, distillation_mask, occlusion_masks
from flowdistill.training import CheckpointTeacher, DDFlowModule, OfflineTeacher
from flowdistill.training.student import crop_offset
from small_trainer import Recorder, flow_data, small_ddflow, trainer

DISTILL = "ddflow_distill_b2_96x160_to_64x128"
STAGE3 = {"census_occlusion": 1.0, "distillation": 1.0}


class Gradients(pl.Callback):
    """The gradients of the run's last step."""

    found: dict[str, Tensor]

    def on_after_backward(self, trainer: pl.Trainer, module: Any) -> None:
        self.found = {name: p.grad.clone() for name, p in module.network.named_parameters()}


def reference_batch() -> dict[str, Any]:
    keys = {"left_t0": "img1", "left_t1": "img2", "teacher_flow": "teacher_flow_fw",
            "teacher_flow_backward": "teacher_flow_bw", "teacher_occluded": "teacher_occ_fw",
            "teacher_occluded_backward": "teacher_occ_bw"}  # fmt: skip
    batch: dict[str, Any] = {ours: reference.tensor(DISTILL, stored) for ours, stored in keys.items()}
    for mask in ("teacher_occluded", "teacher_occluded_backward"):
        batch[mask] = batch[mask].bool()
    return batch | {"name": ["a", "b"]}


@pytest.mark.parametrize("losses", [STAGE3, {"distillation": 1.0}, {**STAGE3, "l2": 1.0}])
def test_the_step_is_the_reference_s(
    losses: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels for the whole view, cropped in the step, give the loss and gradients of the original's student."""
    expected, stored = reference.numbers(DISTILL), reference.arrays(DISTILL)
    top, left = (int(v) for v in stored["crop_offset_hw"])
    monkeypatch.setattr("flowdistill.training.ddflow.crop_offset", lambda *_: (top, left))
    model = DDFlowModule(losses=losses, teacher=OfflineTeacher(), student_crop=(64, 128), learning_rate=0.0)
    reference.fill(model.network, "ddflow")
    seen, logged = Gradients(), Recorder()
    fit = trainer(tmp_path, 1, callbacks=[seen], logger=logged, limit_val_batches=0)
    fit.fit(model, DataLoader([reference_batch()], batch_size=None))
    values = {**expected["losses"], "l2": expected["l2_regulariser"]}
    values["distillation"] = values.pop("data_distillation_distillation")
    step = logged.steps[0]
    for name in losses:
        assert step[f"train/{name}"] == pytest.approx(values[name], rel=2e-5), name
    assert step["train/loss"] == pytest.approx(sum(values[name] for name in losses), rel=2e-5)
    masks = [reference.tensor(DISTILL, f"valid_mask_{direction}") for direction in ("fw", "bw")]
    assert step["train/distilled_share"] == pytest.approx(torch.stack(masks).mean().item(), rel=1e-3)
    if "l2" in losses:
        return  # the reference has no gradients of it
    for name, parameter in model.network.named_parameters():
        parameter.grad = seen.found[name]
    case = "census_occlusion_plus_distillation" if losses == STAGE3 else "distillation"
    variables = tensorflow_variables(model.network)
    reference.check_gradient_norms(variables, expected["grad_norms"][case], (1e-4, 3e-3, 5e-3))


@pytest.fixture(scope="module")
def teacher(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A briefly trained teacher, so that it does not mask everything as occluded."""
    folder = tmp_path_factory.mktemp("teacher")
    fit = trainer(folder, 25, limit_val_batches=0)
    fit.fit(small_ddflow(initialization="linear", learning_rate=1e-3), flow_data(rendered))
    fit.save_checkpoint(folder / "teacher.ckpt")
    return folder / "teacher.ckpt"


def blinking_student(**options: Any) -> DDFlowModule:
    """A student whose forward and backward flow are inconsistent in places."""
    defaults: dict[str, Any] = {
        "losses": {"distillation": 1.0},
        "student_crop": (64, 96),
        "learning_rate": 0.0,
    }
    model = small_ddflow(**(defaults | options))
    with torch.no_grad():
        model.network.context[-1].weight *= 30
    return model


def penalty(size: Tensor) -> Tensor:
    return (size + 0.01) ** 0.4


def largest_change(differences: Tensor, quantum: float) -> Tensor:
    """Maximum change of the penalty if a difference changes by `quantum` or less; it grows with |d|."""
    size = differences.double().abs()
    up = penalty(size + quantum) - penalty(size)
    down = penalty(size) - penalty((size - quantum).clamp_min(0))
    return torch.maximum(up, down)


def test_online_and_offline_teach_the_same_up_to_16_bits(
    rendered: Path, tmp_path: Path, teacher: Path
) -> None:
    """Files of `predict` read by the datamodule, against the same network in the step; same crop, same student."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "training").symlink_to(rendered / "training")
    plain, split = rendered / "train.txt", tmp_path / "train.txt"
    split.write_text("".join(f"{line} labels=proxy\n" for line in plain.read_text().split()))
    predictor = DDFlowModule.load_from_checkpoint(teacher)
    samples = open_dataset("kitti2015", str(rendered), str(plain), "flow", False, None)
    for sample in (samples[index] for index in range(len(samples))):
        batch = collate([sample])
        with torch.no_grad():
            write_labels(root / "proxy", batch["name"][0], predictor.predict_step(batch, 0), 0)

    runs, crops = {}, []
    for kind, chosen, at in (
        ("online", CheckpointTeacher(str(teacher)), plain),
        ("offline", OfflineTeacher(), split),
    ):
        model, logged = blinking_student(teacher=chosen), Recorder()
        data = flow_data(root, str(at), val_labels=False, batch_size=1)
        original = model._student_view

        def spy(*arguments: Any, original: Any = original, model: Any = model) -> Any:
            image1, image2, labels = original(*arguments)
            with torch.no_grad():
                forward, backward = model.network(image1, image2)
            crops.append((labels, forward.full, backward.full))
            return image1, image2, labels

        model._student_view = spy
        trainer(tmp_path, 4, logger=logged, limit_val_batches=0).fit(model, data)
        runs[kind] = [step["train/distillation"] for step in logged.steps]
    assert len(crops) == 8
    for step, (online, offline) in enumerate(zip(runs["online"], runs["offline"], strict=True)):
        (labels, forward, backward), (read, *flows) = crops[step], crops[step + 4]
        assert torch.equal(forward, flows[0])
        assert torch.equal(backward, flows[1])
        occluded = occlusion_masks(forward, backward)
        bound = expected = 0.0
        for flow, other, mask, found in (
            (labels.flow, read.flow, distillation_mask(occluded[0], labels.occluded), forward),
            (labels.flow_backward, read.flow_backward,
             distillation_mask(occluded[1], labels.occluded_backward), backward),
        ):  # fmt: skip
            assert mask.sum() > 50
            # Half of 1/64 px, and a float32's rounding of the comparison itself.
            assert (flow - other).abs().max() <= 0.5 / 64 + 1e-6
            change = largest_change(flow - found, 0.5 / 64 + 1e-6)
            pixels = 2 * mask.sum() + 1e-6
            bound += 0.5 * float((change * mask).sum() / pixels)
            expected += 0.5 * float((penalty((flow - found).double().abs()) * mask).sum() / pixels)
        assert torch.equal(labels.occluded, read.occluded)
        assert torch.equal(labels.occluded_backward, read.occluded_backward)
        assert online == pytest.approx(expected, rel=1e-5)
        assert online != offline  # the files are rounded
        assert abs(online - offline) <= bound + 1e-6 * online
        assert bound < 0.1 * online


def test_offsets_are_a_pure_function_and_reach_every_place() -> None:
    places = [crop_offset(7, step, (10, 12), (8, 9)) for step in range(400)]
    assert places == [crop_offset(7, step, (10, 12), (8, 9)) for step in range(400)]
    counts = Counter(places)
    assert set(counts) == {(top, left) for top in range(3) for left in range(4)}
    assert min(counts.values()) > 10
    for other in (crop_offset(8, 0, (99, 99), (9, 9)), crop_offset(7, 1, (99, 99), (9, 9))):
        assert other != crop_offset(7, 0, (99, 99), (9, 9))
    assert crop_offset(0, 0, (64, 64), (64, 64)) == (0, 0)


def test_images_and_labels_are_cropped_alike_and_the_whole_view_returns(
    rendered: Path, tmp_path: Path
) -> None:
    """Every pixel's value is its coordinates, so that any shift is detected."""
    losses = {"abs_robust_mean_no_occlusion": 1.0,
              "distillation": Schedule([(0, 0.0), (1, 1.0), (2, 0.0)], "step")}  # fmt: skip
    model = small_ddflow(losses=losses, teacher=OfflineTeacher(), student_crop=(64, 72), learning_rate=0.0)
    rows, columns = torch.meshgrid(torch.arange(80.0), torch.arange(128.0), indexing="ij")
    place = (rows * 128 + columns) / (80 * 128)
    batch = {"left_t0": place.expand(1, 3, 80, 128), "left_t1": place.expand(1, 3, 80, 128).clone(),
             "teacher_flow": torch.stack([columns, rows])[None], "name": ["a"],
             "teacher_flow_backward": torch.stack([rows, columns])[None],
             "teacher_occluded": (rows > 40)[None, None],
             "teacher_occluded_backward": (rows <= 40)[None, None]}  # fmt: skip
    views = []
    original = model._student_view

    def spy(*arguments: Any) -> Any:
        views.append(original(*arguments))
        return views[-1]

    model._student_view = spy
    fit = trainer(tmp_path, 3, limit_val_batches=0)
    fit.fit(model, DataLoader([batch] * 3, batch_size=None))
    for whole in (views[0], views[2]):
        assert whole[0].shape == (1, 3, 80, 128)
        assert whole[2] is None
    image1, image2, labels = views[1]
    assert image1.shape == (1, 3, 64, 72)
    columns_seen, rows_seen = labels.flow[0]
    assert torch.equal(image1[0, 0], (rows_seen * 128 + columns_seen) / (80 * 128))
    assert torch.equal(image2, image1)
    assert torch.equal(labels.flow_backward[0], torch.stack([rows_seen, columns_seen]))
    assert torch.equal(labels.occluded[0, 0], rows_seen > 40)
    assert torch.equal(labels.occluded_backward[0, 0], rows_seen <= 40)


def test_a_term_of_weight_zero_is_not_computed(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teacher: Path
) -> None:
    calls: list[Counter[str]] = []

    def count(place: str, name: str) -> None:
        module = __import__(place, fromlist=[name])
        original = getattr(module, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            calls[-1][name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(f"{place}.{name}", counted)

    count("flowdistill.losses.photometric", "census_loss")
    count("flowdistill.losses.photometric", "robust_loss")
    count("flowdistill.training.ddflow", "distillation_loss")
    count("flowdistill.training.ddflow", "l2_regulariser")
    count("flowdistill.training.teachers", "occlusion_masks")  # once per call of the teacher

    class Steps(pl.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            calls.append(Counter())

    losses = {
        "abs_robust_mean_no_occlusion": Schedule([(0, 1.0), (2, 0.0)]),  # 1, 0.5, 0, 0
        "census_no_occlusion": Schedule([(1, 0.0), (2, 1.0)], "step"),
        "census_occlusion": 0.0,
        "distillation": Schedule([(2, 0.0), (4, 1.0)]),  # 0, 0, 0, 0.5
        "l2": Schedule([(0, 0.0), (1, 1.0), (2, 0.0)], "step"),
    }
    model = blinking_student(losses=losses, teacher=CheckpointTeacher(str(teacher)))
    logged = Recorder()
    fit = trainer(tmp_path, 4, callbacks=[Steps()], logger=logged, limit_val_batches=0)
    fit.fit(model, flow_data(rendered))
    assert [dict(step) for step in calls] == [
        {"robust_loss": 2},
        {"robust_loss": 2, "l2_regulariser": 1},
        {"census_loss": 2},
        {"census_loss": 2, "distillation_loss": 1, "occlusion_masks": 1},
    ]
    weights = [{k: v for k, v in step.items() if k.startswith("weight/")} for step in logged.steps]
    assert weights[1] == {"weight/abs_robust_mean_no_occlusion": 0.5, "weight/census_no_occlusion": 0.0,
                          "weight/distillation": 0.0, "weight/l2": 1.0}  # fmt: skip
    assert weights[3]["weight/distillation"] == 0.5
    for step in logged.steps:
        terms = {name: step[f"train/{name}"] for name in losses if name != "census_occlusion"}
        # Terms that are not computed are logged as NaN, not as the value of an earlier step.
        assert all(math.isnan(value) == (step[f"weight/{name}"] == 0) for name, value in terms.items())
        total = sum(step[f"weight/{name}"] * value for name, value in terms.items() if not math.isnan(value))
        assert step["train/loss"] == pytest.approx(total, rel=1e-5)


def test_a_student_crop_larger_than_the_view_is_refused(
    rendered: Path, tmp_path: Path, teacher: Path
) -> None:
    model = small_ddflow(losses=STAGE3, teacher=CheckpointTeacher(str(teacher)), student_crop=(64, 130))
    with pytest.raises(UserError, match=r"student_crop \[64, 130\] is larger than the view, 64x128 \(00000"):
        trainer(tmp_path, 1).fit(model, flow_data(rendered))


def test_steps_without_any_weight_are_refused_before_the_run(rendered: Path, tmp_path: Path) -> None:
    gap = {"abs_robust_mean_no_occlusion": Schedule([(0, 1.0), (3, 0.0)], "step"), "l2": 1.0,
           "census_occlusion": Schedule([(0, 0.0), (5, 1.0)], "step")}  # fmt: skip
    with pytest.raises(UserError, match=r"census_occlusion\) is 0 at step 3: there is nothing to train on"):
        trainer(tmp_path, 6).fit(small_ddflow(losses=gap), flow_data(rendered))
    trainer(tmp_path, 3, limit_val_batches=0).fit(
        small_ddflow(losses=gap), flow_data(rendered)
    )  # ends before
