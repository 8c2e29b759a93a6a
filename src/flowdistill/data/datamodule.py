"""The LightningDataModule of KITTI's layout: one for both models, which say which view they need."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import cv2
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from flowdistill.data.colour import Colour
from flowdistill.data.kitti import KittiDataset, ViewName
from flowdistill.data.kitti_tree import scan
from flowdistill.data.sample import Batch, collate
from flowdistill.data.sampler import InfiniteBatches, Transform
from flowdistill.data.splits import SplitEntry, read_split
from flowdistill.data.transforms import ChannelSwap, RandomCrop, RandomFlips, ReflectPad
from flowdistill.errors import UserError


@dataclass
class View:
    """What one kind of model is trained and validated on.

    Attributes:
        train_split: a file of `data_splits/`, or the word `scan`: every pair of frames of the left camera.
        val_split: the same, for validation and test.
        predict_split: the same, for prediction; by default the validation split.
        pad_to: reflect-pad training samples to at least this [height, width] before the crop.
        crop: [height, width] of the random crop in training.
        flips: left-right and top-bottom flips in training (flow view only).
        channel_swap: random order of the colour channels in training.
        colour: probability of changing gamma, brightness and colour in training.
        colour_shared: change all images of a sample alike; else each on its own.
    """

    train_split: str
    val_split: str
    predict_split: str | None = None
    pad_to: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    flips: bool = False
    channel_swap: bool = False
    colour: float = 0.0
    colour_shared: bool = True

    def transforms(self) -> list[Transform]:
        """The training transforms, in order."""
        chosen: list[Transform] = []
        if self.pad_to is not None:
            chosen.append(ReflectPad(self.pad_to))
        if self.crop is not None:
            chosen.append(RandomCrop(self.crop))
        if self.flips:
            chosen.append(RandomFlips())
        if self.channel_swap:
            chosen.append(ChannelSwap())
        if self.colour > 0:
            chosen.append(Colour(self.colour, self.colour_shared))
        return chosen


class KittiDataModule(pl.LightningDataModule):
    """Loaders for KITTI 2015 and everything in its layout.

    The model says what it needs: `view` ("flow" or "scene_flow") and `needs_labels` (for training) are
    attributes of the LightningModule. Training batches come from an infinite sampler that is a pure function
    of (seed, step, rank), so a resumed run goes on where it stopped. Validation, test and prediction take one
    image size after the other (batch size 1); under DDP every sample is used exactly once.

    Args:
        root: the folder that holds `training`.
        flow: the flow view, for models that take two frames.
        scene_flow: the scene-flow view, for models that take two stereo pairs.
        batch_size: training samples a step and process.
        num_workers: processes that load data, for each loader.
        seed: of the order of samples and of their augmentation.
        val_labels: whether validation and test read ground truth.
        predict_labels: whether prediction does (for error maps).
    """

    def __init__(
        self,
        root: str | None = None,
        flow: View | None = None,
        scene_flow: View | None = None,
        batch_size: int = 4,
        num_workers: int = 2,
        seed: int = 0,
        val_labels: bool = True,
        predict_labels: bool = False,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("num_workers", num_workers, 0),
            ("seed", seed, 0),
        ):
            if value < least:
                raise UserError(f"data.init_args.{name} must be {least} or more, not {value}.")
        for name, view in (("flow", flow), ("scene_flow", scene_flow)):
            if view is not None:
                _check_view(f"data.init_args.{name}", view)
        self.root = root
        self.views: dict[str, View | None] = {"flow": flow, "scene_flow": scene_flow}
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.val_labels = val_labels
        self.predict_labels = predict_labels

    def train_dataloader(self) -> "DataLoader[Batch]":
        trainer, name, view = self._attached()
        dataset = self._dataset(view.train_split, name, bool(trainer.lightning_module.needs_labels))
        batches = InfiniteBatches(
            dataset, view.transforms(), self.batch_size, self.seed, trainer.global_rank, trainer.world_size
        )
        # Workers are made anew for every epoch, so that each epoch starts them at the trainer's step; there
        # is one epoch unless limit_train_batches ends it.
        return StepLoader(trainer, batches, batch_size=None, **self._loader_options())

    def val_dataloader(self) -> "DataLoader[Batch]":
        _, name, view = self._attached()
        return self._evaluation_loader(self._dataset(view.val_split, name, self.val_labels))

    def test_dataloader(self) -> "DataLoader[Batch]":
        return self.val_dataloader()

    def predict_dataloader(self) -> "DataLoader[Batch]":
        _, name, view = self._attached()
        return self._evaluation_loader(
            self._dataset(view.predict_split or view.val_split, name, self.predict_labels)
        )

    def _attached(self) -> tuple[pl.Trainer, ViewName, View]:
        """The trainer, and the view that its model needs."""
        if self.trainer is None:
            raise RuntimeError(
                "KittiDataModule makes loaders for a Trainer: the model there says which view it needs"
            )
        model = self.trainer.lightning_module
        name = getattr(model, "view", None)
        if name not in self.views:
            raise UserError(
                f"{type(model).__name__} must say what it takes by an attribute `view`, one of "
                f"{', '.join(self.views)}; it is {name!r}."
            )
        view = self.views[name]
        if view is None:
            raise UserError(
                f"{type(model).__name__} needs the {name} view of the data, and the data config has no "
                f"data.init_args.{name}. Add it (train_split, val_split, ...) as in configs/data/kitti.yaml."
            )
        return self.trainer, cast(ViewName, name), view

    def _dataset(self, split: str, view: ViewName, labels: bool) -> KittiDataset:
        entries: list[SplitEntry] = scan(self.root) if split == "scan" else read_split(split)
        return KittiDataset(self.root, entries, view, labels)

    def _evaluation_loader(self, dataset: KittiDataset) -> "DataLoader[Batch]":
        assert self.trainer is not None
        world_size, rank = self.trainer.world_size, self.trainer.global_rank
        if len(dataset) < world_size:
            raise UserError(
                f"The split has {len(dataset)} samples for {world_size} processes: use "
                f"--trainer.devices {len(dataset)} or fewer, or a larger split."
            )
        return DataLoader(
            cast(Any, dataset),
            batch_size=1,
            sampler=Shard(dataset, world_size, rank),
            collate_fn=collate,
            persistent_workers=self.num_workers > 0,
            **self._loader_options(),
        )

    def _loader_options(self) -> dict[str, Any]:
        return {
            "num_workers": self.num_workers,
            "worker_init_fn": _start_worker if self.num_workers > 0 else None,
            "pin_memory": torch.cuda.is_available(),
        }


class StepLoader(DataLoader[Batch]):
    """A loader of `InfiniteBatches` that starts at the step where the trainer is, whenever it is iterated.

    That is how a resumed run goes on with the samples it would have seen. `state_dict` is empty: the
    trainer's step is the whole state; it is there to tell Lightning that the loader can resume.
    """

    def __init__(self, trainer: pl.Trainer, batches: InfiniteBatches, **options: Any) -> None:
        super().__init__(batches, **options)
        self._trainer = trainer

    def __iter__(self) -> Any:
        # Lightning counts optimiser steps; a step of the sampler is one batch.
        steps = self._trainer.global_step * self._trainer.accumulate_grad_batches
        # overfit_batches asks for the same few batches in every epoch. (Lightning sets it without declaring it.)
        repeat = getattr(self._trainer, "overfit_batches", 0) > 0
        cast(InfiniteBatches, self.dataset).start_step = 0 if repeat else steps
        return super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Shard(DistributedSampler[Any]):
    """Every `world_size`-th sample from `rank` on: each sample belongs to exactly one process.

    A DistributedSampler, because Lightning leaves those alone; torch's own repeats samples to make shards
    equally long, and a metric would count these twice.
    """

    def __init__(self, dataset: KittiDataset, world_size: int, rank: int) -> None:
        super().__init__(cast(Any, dataset), num_replicas=world_size, rank=rank, shuffle=False)
        self._indices = range(operator.index(rank), len(dataset), world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)


def _check_view(place: str, view: View) -> None:
    if place.endswith("scene_flow") and view.flips:
        raise UserError(f"{place}.flips: flips would swap the cameras of a stereo pair. Set it to false.")
    if not 0 <= view.colour <= 1:
        raise UserError(f"{place}.colour is a probability from 0 to 1, not {view.colour}.")
    for key, size in (("pad_to", view.pad_to), ("crop", view.crop)):
        if size is not None and min(size) < 1:
            raise UserError(f"{place}.{key} is [height, width] in pixels, both positive, not {list(size)}.")


def _start_worker(_: int) -> None:
    # OpenCV's thread pool does not survive a fork, and a worker is one thread of work.
    cv2.setNumThreads(0)
