"""DDFlow as a LightningModule: flow from unlabeled image pairs, with its three stages as weights of one loss.

batch: left_t0, left_t1   # (B, 3, H, W) RGB in [0, 1]; ground truth (flow, valid_flow, ...) only for validation
       teacher_*          # labels of an offline teacher, see training/teachers.py
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from flowdistill import renamed
from flowdistill.data.notes import note
from flowdistill.data.sample import Batch
from flowdistill.errors import UserError
from flowdistill.losses import (
    Schedule,
    Weight,
    distillation_loss,
    distillation_mask,
    l2_regulariser,
    occlusion_masks,
    photometric_losses,
)
from flowdistill.losses.photometric import PHOTOMETRIC_NAMES, masks_occlusion, released_term
from flowdistill.losses.schedule import as_schedule, check_number, first_step_without_loss, positive_weights
from flowdistill.networks import DDFlowNet
from flowdistill.networks.ddflow import SMALLEST_SIZE
from flowdistill.networks.initialisation import start_encoder_linear
from flowdistill.training.base import MotionModule
from flowdistill.training.guards import OcclusionCollapseGuard
from flowdistill.training.init_from import evaluated_checkpoint
from flowdistill.training.joint_teacher import JointTeacher, first_step_without_teacher_loss
from flowdistill.training.ranks import all_ranks
from flowdistill.training.recent_steps import RecentStep
from flowdistill.training.student import crop_at, crop_offset
from flowdistill.training.teachers import Teacher, TeacherLabels, as_teacher
from flowdistill.training.validation import MotionValidation

DISTILLATION, L2 = "distillation", "l2"
TAUGHT_BY = (*PHOTOMETRIC_NAMES, DISTILLATION)
TERMS = (*TAUGHT_BY, L2)
_TEACHER = "teacher."
MAX_FULLY_OCCLUDED_STEPS = 200


class DDFlowModule(MotionModule):
    """Unsupervised flow with the losses of DDFlow (AAAI 2019).

    Args:
        losses: term -> weight, a number or a schedule over steps. Terms are the photometric ones of
            `flowdistill.losses.PHOTOMETRIC_TERMS` (`census_visible` is `census_occlusion`, `census_all_pixels` is
            `census_no_occlusion`, and so on), `distillation`, and `l2`, the released code's regulariser, which
            that code does not use. The paper's first stage is {abs_robust_mean_no_occlusion: 1}, its second
            {census_occlusion: 1}, its third {census_occlusion: 1, distillation: 1}.
        teacher: source of the distillation term's flow (`flowdistill.training.teachers`).
        student_crop: [height, width] of the student's crop of the view while the distillation weight is positive; at
            other steps the student gets the whole view.
        width: factor on the network's channels; 1.0 is the published network.
        initialization: "xavier", as in the original, or "linear": the extractor starts as a linear image pyramid
            (`flowdistill.networks.initialisation`).
        learning_rate: of Adam, a number or a schedule over steps.
        halve_at: optimiser steps at which the learning rate is halved.
        init_from: checkpoint of an earlier stage that provides the initial weights.
        max_fully_occluded_steps: the run stops after this many consecutive steps in which the occlusion check masks
            everything.
        compile: train with `torch.compile`: the first step takes minutes, later steps are faster, and results agree up
            to rounding. Prediction and validation are not compiled.
        checkpoint_activations: backward recomputes the decoders instead of storing their activations: stored
            activations shrink from 0.29 to 0.06 GB per sample of 320x896, a step takes 1.3 times as long (measured on
            a CPU), and gradients are bitwise identical.
        skip_non_finite: number of steps per run whose loss or gradient may be NaN or infinite; they change no weight,
            and their batches are written to files. One more ends the run.
        start: old name of `initialization`, for one version.
        blind_steps: old name of `max_fully_occluded_steps`, for one version.
    """

    view = "flow"
    needs_labels = False
    extra_weights = (_TEACHER,)
    #: Terms of a subclass beside those of the papers; `own_losses` computes them (docs/extend/loss.md).
    own_terms: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        losses: dict[str, Weight],
        teacher: Teacher | None = None,
        student_crop: tuple[int, int] | None = None,
        width: float = 1.0,
        initialization: Literal["xavier", "linear"] = "xavier",
        learning_rate: Weight = 1e-4,
        halve_at: Sequence[int] = (),
        init_from: str | None = None,
        max_fully_occluded_steps: int = MAX_FULLY_OCCLUDED_STEPS,
        compile: bool = False,
        checkpoint_activations: bool = False,
        skip_non_finite: int = 0,
        start: Literal["xavier", "linear"] | None = None,
        blind_steps: int | None = None,
    ) -> None:
        initialization = renamed.old_or_new(renamed.MODEL, "start", start, initialization, "xavier")
        max_fully_occluded_steps = renamed.old_or_new(
            renamed.MODEL, "blind_steps", blind_steps, max_fully_occluded_steps, MAX_FULLY_OCCLUDED_STEPS
        )
        check_number("width", width, positive=True)
        super().__init__(
            self.make_network(width),
            MotionValidation("flow", occlusion=True, means=("census", "census_zero_motion")),
            learning_rate,
            halve_at,
            init_from,
            compile,
            checkpoint_activations,
            skip_non_finite,
        )
        self.losses = checked_losses(losses, self.own_terms)
        self.teacher = as_teacher(teacher)
        self.student_crop = student_crop
        self._check_distillation()
        if max_fully_occluded_steps < 1:
            raise UserError(f"max_fully_occluded_steps must be 1 or more, got {max_fully_occluded_steps}")
        self.collapse = OcclusionCollapseGuard(max_fully_occluded_steps)
        self.teacher_collapse = OcclusionCollapseGuard(max_fully_occluded_steps, "the teacher's")
        self.save_hyperparameters(ignore=["teacher", *renamed.MODEL])
        self.save_plain_hyperparameters(
            losses=losses,
            learning_rate=learning_rate,
            # Under their present names, which `lightning` would keep as the config has them.
            initialization=initialization,
            max_fully_occluded_steps=max_fully_occluded_steps,
            teacher=None if self.teacher is None else self.teacher.settings(),
        )
        if initialization == "linear":
            start_encoder_linear(cast(DDFlowNet, self.network).extractor)

    def make_network(self, width: float) -> nn.Module:
        """Build the network; a subclass may build another one (docs/extend/network.md).

        Args:
            width: factor on the channels.

        Returns:
            a module that maps two images, (B, 3, H, W) RGB in [0, 1], to two objects whose `full` is the flow in px,
            (B, 2, H, W): from image 1 to image 2 on the grid of image 1, and the other way on that of image 2.
        """
        return DDFlowNet(width)

    def own_losses(
        self, terms: Sequence[str], image1: Tensor, image2: Tensor, forward: Tensor, backward: Tensor
    ) -> dict[str, Tensor]:
        """Compute the terms of `own_terms` whose weight is positive at this step; for subclasses.

        Args:
            terms: the names to compute.
            image1, image2: (B, 3, H, W) RGB in [0, 1], as the student sees them.
            forward, backward: (B, 2, H, W) px, flow on the grid of image 1 and of image 2.

        Returns:
            term -> scalar, the sum over both directions as for the other terms.
        """
        raise NotImplementedError(f"{type(self).__name__} lists own_terms, so it must define own_losses")

    def schedules(self) -> dict[str, Schedule]:
        return self.losses

    def term_names(self) -> list[str]:
        names = [*self.losses, *(["distilled_share"] if DISTILLATION in self.losses else [])]
        if self.joint_teacher is not None:
            names += [f"teacher_{name}" for name in (*self._teacher_losses, "occluded_share")]
        return names

    @property
    def joint_teacher(self) -> JointTeacher | None:
        """The teacher, if it is trained along with the student."""
        return self.teacher if isinstance(self.teacher, JointTeacher) else None

    @property
    def _teacher_losses(self) -> dict[str, Schedule]:
        """The weights of a trained-along teacher's loss."""
        return {name: weight for name, weight in self.losses.items() if name != DISTILLATION}

    def trained_networks(self) -> list[nn.Module]:
        teacher = self.joint_teacher
        return [self.network, *([] if teacher is None or teacher.network is None else [teacher.network])]

    @property
    def evaluated_network(self) -> nn.Module:
        teacher = self.joint_teacher
        chosen = None if teacher is None else teacher.evaluated_network
        return self.network if chosen is None else chosen

    def has_idle_parameters(self, steps: int | None) -> bool:
        # A teacher is not trained at the steps at which it does not teach.
        weight = {DISTILLATION: self.losses[DISTILLATION]} if DISTILLATION in self.losses else {}
        return self.joint_teacher is not None and first_step_without_loss(weight, steps) is not None

    def comparable(self, settings: dict[str, Any]) -> dict[str, Any]:
        losses, teacher = settings.get("losses") or {}, settings.get("teacher")
        # Which network is evaluated does not make it another run, unless that is resumed.
        if teacher and not self.fits:
            arguments = {name: v for name, v in teacher["init_args"].items() if name != "evaluated"}
            teacher = {**teacher, "init_args": arguments}
        named = {released_term(name): weight for name, weight in losses.items()}
        return settings | {"losses": named} | ({"teacher": teacher} if teacher else {})

    def data_terms(self) -> dict[str, Schedule]:
        return {name: weight for name, weight in self.losses.items() if name != L2}

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage != "fit" or self.joint_teacher is None:
            return
        limit = self.trainer.max_steps
        own = {name: weight for name, weight in self._teacher_losses.items() if name != L2}
        empty = first_step_without_teacher_loss(
            own, self.losses.get(DISTILLATION, Schedule([(0, 0.0)])), limit if limit >= 0 else None
        )
        if empty is not None:
            raise UserError(
                f"losses: at step {empty} the only weight is distillation's, so JointTeacher has nothing to train on: "
                "add census_occlusion, as configs/ddflow/distill_joint.yaml does, or use CheckpointTeacher"
            )
        # The optimiser and DistributedDataParallel need its weights. A resumed run, which is not known as one yet,
        # brings its own, and may have lost the file; in a new run `on_fit_start` tries again, and raises.
        if not self.joint_teacher.ready:
            with suppress(UserError):
                self.joint_teacher.prepare(cast(DDFlowNet, self.network))

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.teacher is not None and not self.teacher.ready:
            self.teacher.prepare(cast(DDFlowNet, self.network))
            self.teacher.to(self.device)
        if self.teacher is not None:
            # Lightning warns about modules in evaluation mode; here this is intended.
            warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        joint = self.joint_teacher
        # The config does not say which of two networks to evaluate: the checkpoint does.
        if not self.fits and joint is None:
            chosen = evaluated_checkpoint(checkpoint, "--ckpt_path: the checkpoint")
            checkpoint["state_dict"] = chosen["state_dict"]
        super().on_load_checkpoint(checkpoint)
        state: dict[str, Tensor] = checkpoint["state_dict"]
        stored = {name.removeprefix(_TEACHER): v for name, v in state.items() if name.startswith(_TEACHER)}
        evaluates_teacher = joint is not None and joint.evaluated == "teacher"
        if evaluates_teacher and "started_at" not in stored:
            raise UserError(
                "--ckpt_path: teacher.evaluated is teacher, but the checkpoint is not of a run with JointTeacher: give "
                "another one, or --model.init_args.teacher.init_args.evaluated student"
            )
        if evaluates_teacher and not self.fits:
            note("--ckpt_path: evaluating the teacher that was trained along (teacher.evaluated)")
        if self.teacher is not None and (self.fits or evaluates_teacher):
            self.teacher.restore(stored, cast(DDFlowNet, self.network))
            return
        # Nothing else needs a teacher: its tensors in the checkpoint, if any, are ignored.
        kept = {name: value for name, value in state.items() if not name.startswith(_TEACHER)}
        own = {} if self.teacher is None else self.teacher.state_dict(prefix=_TEACHER)
        checkpoint["state_dict"] = {**kept, **own}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.teacher is not None:
            self.teacher.after_step(cast(DDFlowNet, self.network))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        weights = positive_weights(self.losses, self.global_step)
        taught = self._labels(batch) if DISTILLATION in weights else None
        image1, image2, labels = self._student_view(batch, taught)
        forward, backward = self._flows(image1, image2, batch["name"])
        occluded = occlusion_masks(forward, backward)
        seen = TeacherLabels(forward, backward, *occluded)
        terms = self._unsupervised(weights, self.network, image1, image2, seen)
        shares = {"occluded_share": torch.stack(occluded).float().mean()}
        if labels is not None:
            masks = (
                distillation_mask(occluded[0], labels.occluded),
                distillation_mask(occluded[1], labels.occluded_backward),
            )
            flows = (forward, backward, labels.flow, labels.flow_backward)
            terms[DISTILLATION] = distillation_loss(*flows, *masks, ranks=all_ranks())
            shares["distilled_share"] = torch.stack(masks).float().mean()
        loss = _weighted(weights, terms)
        if taught is not None and self.joint_teacher is not None:
            view = (batch["left_t0"], batch["left_t1"])
            own = self._unsupervised(weights, self.trained_networks()[1], *view, taught)
            loss = loss + _weighted(weights, own)
            shares |= {f"teacher_{name}": value for name, value in own.items()}
            masks = (taught.occluded, taught.occluded_backward)
            shares["teacher_occluded_share"] = torch.stack(masks).float().mean()
        return self.guarded(loss, {**terms, **shares}, batch, batch_idx)

    def _unsupervised(
        self,
        weights: Mapping[str, float],
        network: nn.Module,
        image1: Tensor,
        image2: Tensor,
        seen: TeacherLabels,
    ) -> dict[str, Tensor]:
        """The terms other than distillation whose weight is positive, from a network's flows and masks."""
        photometric = [term for term in PHOTOMETRIC_NAMES if term in weights]
        terms = photometric_losses(image1, image2, *seen, terms=photometric, ranks=all_ranks())
        if own := [term for term in self.own_terms if term in weights]:
            terms |= self.own_losses(own, image1, image2, seen.flow, seen.flow_backward)
        if L2 in weights:
            terms[L2] = l2_regulariser(network.parameters())
        return terms

    def check_steps(self, steps: Sequence[RecentStep]) -> None:
        super().check_steps(steps)
        for step in steps:
            weights = positive_weights(self.losses, step.step)
            if any(map(masks_occlusion, weights)):
                # The same value on all processes, so that they stop together.
                self.collapse.look(1 - step.means["occluded_share"], step.step)
                if "teacher_occluded_share" in step.means:
                    self.teacher_collapse.look(1 - step.means["teacher_occluded_share"], step.step)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        image1, image2 = batch["left_t0"], batch["left_t1"]
        forward, backward = self._flows(image1, image2, batch["name"])
        occluded, _ = occlusion_masks(forward, backward)
        self.validation.update({"flow": forward, "occluded": occluded}, batch)
        # Needs no ground truth: the census distance over all pixels, and that of zero motion for comparison.
        nowhere, still = torch.zeros_like(forward[:, :1]), torch.zeros_like(forward)
        for name, (to, back) in {"census": (forward, backward), "census_zero_motion": (still, still)}.items():
            losses = photometric_losses(
                image1, image2, to, back, nowhere, nowhere, terms=("census_no_occlusion",)
            )
            self.validation.add(name, losses["census_no_occlusion"], len(batch["name"]))

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return both flows and their occlusion masks, with keys as in the batch contract."""
        forward, backward = self._flows(batch["left_t0"], batch["left_t1"], batch["name"])
        occluded = occlusion_masks(forward, backward)
        return {
            "flow": forward,
            "flow_backward": backward,
            "occluded": occluded[0],
            "occluded_backward": occluded[1],
        }

    def _labels(self, batch: Batch) -> TeacherLabels:
        """The teacher's labels of the whole view."""
        assert self.teacher is not None  # as checked with the weights
        self.teacher.before_teaching(cast(DDFlowNet, self.network), self.global_step)
        return self.teacher.labels(batch)

    def _student_view(
        self, batch: Batch, taught: TeacherLabels | None
    ) -> tuple[Tensor, Tensor, TeacherLabels | None]:
        """The student's images and labels: the same crop of each, or the whole images without labels."""
        images = (batch["left_t0"], batch["left_t1"])
        if taught is None or self.student_crop is None:
            return *images, None
        crop, size = self.student_crop, (images[0].shape[-2], images[0].shape[-1])
        if crop[0] > size[0] or crop[1] > size[1]:
            raise UserError(
                f"student_crop {list(crop)} is larger than the view, {size[0]}x{size[1]} ({batch['name'][0]}): make it "
                "smaller (configs/ddflow/patch/ has one for each data set), or data.init_args.flow.crop larger"
            )
        offset = crop_offset(self.data_seed, self.global_step, size, crop)
        image1, image2 = (crop_at(image, offset, crop) for image in images)
        return image1, image2, TeacherLabels(*(crop_at(label.detach(), offset, crop) for label in taught))

    def _flows(self, image1: Tensor, image2: Tensor, names: list[str]) -> tuple[Tensor, Tensor]:
        """Forward and backward flow at the images' size."""
        height, width = image1.shape[-2:]
        if min(height, width) < SMALLEST_SIZE:
            raise UserError(
                f"DDFlow needs images of at least {SMALLEST_SIZE}x{SMALLEST_SIZE}, got {height}x{width} "
                f"({names[0]}): use larger frames or a larger data.init_args.flow.crop"
            )
        forward, backward = self.run_network(image1, image2)
        return forward.full, backward.full

    def _check_distillation(self) -> None:
        if DISTILLATION not in self.losses:
            return
        if self.teacher is None:
            raise UserError(
                "losses.distillation needs a teacher: set --model.init_args.teacher to OfflineTeacher, "
                "CheckpointTeacher, JointTeacher, AverageTeacher or SnapshotTeacher (docs/ddflow.md)"
            )
        if self.student_crop is None or min(self.student_crop) < SMALLEST_SIZE:
            raise UserError(
                f"losses.distillation needs student_crop, [height, width] of {SMALLEST_SIZE} or more and smaller than "
                f"the view, got {self.student_crop}: the student learns where pixels move out of its crop but not out "
                "of its teacher's view. "
                "Add a config of configs/ddflow/patch/, or --model.init_args.student_crop '[224, 640]'"
            )


def _weighted(weights: Mapping[str, float], terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([weights[name] * value for name, value in terms.items()]).sum()


def checked_losses(losses: dict[str, Weight], own_terms: Sequence[str] = ()) -> dict[str, Schedule]:
    """Return the schedules of the weights that are positive at some step; a term of weight 0 is not computed.

    Raises:
        UserError: an unknown term, an invalid schedule or weight, or no term left; the message names the key.
    """
    schedules: dict[str, Schedule] = {}
    for name, weight in losses.items():
        known = (*TERMS, *own_terms)
        if name not in known:
            raise UserError(f"losses.{name}: unknown term {name!r}; known: {', '.join(known)}")
        if any(released_term(name) == released_term(other) for other in schedules):
            raise UserError(f"losses.{name} is another name of {released_term(name)}: give one of them")
        schedules[name] = as_schedule(f"losses.{name}", weight)
    kept = {name: schedule for name, schedule in schedules.items() if schedule.is_ever_positive}
    if not set(kept) - {L2}:
        raise UserError("losses: every weight is 0, there is nothing to train on")
    return kept
