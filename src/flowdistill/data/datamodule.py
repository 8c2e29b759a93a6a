"""The LightningDataModule for all datasets and models; the model selects the view."""

from collections.abc import Sized
from dataclasses import replace
from typing import Any, cast

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from flowdistill.data.batch_size import in_words, share_of_batch
from flowdistill.data.dataset import MotionDataset, ViewName
from flowdistill.data.datasets import dataset_class, open_dataset
from flowdistill.data.first_batch import first_batch, warn_of_odd_labels
from flowdistill.data.loaders import ResumableLoader, UnpaddedDistributedSampler, start_worker
from flowdistill.data.mixture import Mixture, Part
from flowdistill.data.notes import note
from flowdistill.data.photometric.device import apply_on_device
from flowdistill.data.sample import Batch, collate
from flowdistill.data.sampler import InfiniteBatches
from flowdistill.data.views import Source, View, check_view
from flowdistill.errors import UserError

# The labels of each view that a model trained on labels needs.
_LABELS: dict[ViewName, tuple[str, ...]] = {
    "flow": ("flow",),
    "scene_flow": ("flow", "disparity_t0", "disparity_t1"),
}


class MotionDataModule(pl.LightningDataModule):
    """Loaders for KITTI, FlyingThings3D, FlyingChairs, Sintel and a user's own frames.

    The data depends on two attributes of the LightningModule: `view` ("flow" or "scene_flow") and `needs_labels` (for
    training). Training batches come from an infinite sampler that is a pure function of (seed, step), so a resumed run
    continues where it stopped, also with another number of processes. Validation, test and prediction use batch size 1,
    since image sizes differ; under DDP every sample is used exactly once.

    Args:
        dataset: kitti2015 (and other data in its layout), kitti2012, things, things_subset, chairs, sintel or folder.
        root: the data folder; docs/data.md shows its layout.
        options: of the dataset, such as {render_pass: final}; docs/data.md lists them.
        flow: the flow view, for models whose input is two frames.
        scene_flow: the scene-flow view, for models whose input is two stereo pairs.
        batch_size: training samples per optimizer step, divided among all processes and accumulated batches.
        num_workers: worker processes per loader.
        seed: of the order of samples and their augmentation.
        val_labels: whether validation and test read ground truth.
        predict_labels: whether prediction does (for error maps).
        exclude: a list of samples to exclude from every split, as written by `flowdistill data check --exclude-to`.

    Examples:
        >>> from flowdistill.data import MotionDataModule, View
        >>> view = View(train_split="data_splits/kitti_160.txt", preset="ddflow", crop=(320, 896))
        >>> data = MotionDataModule("kitti2015", root="/data/kitti2015", flow=view, batch_size=4)
        >>> [type(transform).__name__ for transform in data.views["flow"].transforms()]
        ['RandomCrop', 'RandomFlips', 'ChannelSwap']
    """

    def __init__(
        self,
        dataset: str,
        root: str | None = None,
        options: dict[str, str | int] | None = None,
        flow: View | None = None,
        scene_flow: View | None = None,
        batch_size: int = 4,
        num_workers: int = 2,
        seed: int = 0,
        val_labels: bool = True,
        predict_labels: bool = False,
        exclude: str | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("num_workers", num_workers, 0),
            ("seed", seed, 0),
        ):
            if value < least:
                raise UserError(f"data.init_args.{name} must be {least} or more, not {value}.")
        dataset_class(dataset).chosen_options(options)
        for name, view in (("flow", flow), ("scene_flow", scene_flow)):
            if view is not None:
                check_view(f"data.init_args.{name}", view, stereo=name == "scene_flow")
        self.dataset = dataset
        self.root = root
        self.options = options
        self.views: dict[str, View | None] = {"flow": flow, "scene_flow": scene_flow}
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.val_labels = val_labels
        self.predict_labels = predict_labels
        self.exclude = exclude

    def train_dataloader(self) -> "DataLoader[Batch]":
        trainer, name, view = self._attached()
        parts = (trainer.world_size, trainer.accumulate_grad_batches)
        own = share_of_batch(self.batch_size, *parts)
        needs_labels = bool(trainer.lightning_module.needs_labels)
        samples: MotionDataset | Mixture
        if view.train_sources is not None:
            samples = self._mixture(view.train_sources, name, needs_labels)
        else:
            samples = self._open(view.train_split, "train_split", name, needs_labels)
        if needs_labels:
            self._check_labels(samples.keys, name)
        if trainer.global_rank == 0:
            warn_of_odd_labels(samples, first_batch(len(samples), self.seed, self.batch_size))
            note(in_words(self.batch_size, *parts))
        batches = InfiniteBatches(
            samples, view.transforms(), own, self.seed, trainer.global_rank, trainer.world_size
        )
        # Workers are restarted for every epoch, so that each epoch begins at the trainer's step; there is one epoch
        # unless limit_train_batches ends it.
        return ResumableLoader(trainer, batches, batch_size=None, **self._loader_options())

    def val_dataloader(self) -> "DataLoader[Batch] | list[DataLoader[Batch]]":
        trainer, name, view = self._attached()
        if view.val_split is None and trainer.state.fn == "fit":
            note(f"no validation: data.init_args.{name}.val_split is null")
            return []
        samples = self._open(view.val_split, "val_split", name, self.val_labels)
        if trainer.global_rank == 0:
            warn_of_odd_labels(samples, range(min(self.batch_size, len(samples))))
        return self._evaluation_loader(samples)

    def test_dataloader(self) -> "DataLoader[Batch] | list[DataLoader[Batch]]":
        return self.val_dataloader()

    def predict_dataloader(self) -> "DataLoader[Batch]":
        _, name, view = self._attached()
        key = "predict_split" if view.predict_split is not None else "val_split"
        split = view.predict_split or view.val_split
        return self._evaluation_loader(self._open(split, key, name, self.predict_labels))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Apply the photometric augmentation on the device (`photometric_on: device`)."""
        return apply_on_device(batch)

    def _attached(self) -> tuple[pl.Trainer, ViewName, View]:
        """Return the trainer, and the view that its model needs."""
        if self.trainer is None:
            raise RuntimeError(
                "MotionDataModule needs a Trainer to create loaders: the Trainer's model selects the view"
            )
        model = self.trainer.lightning_module
        name = getattr(model, "view", None)
        if name not in self.views:
            raise UserError(
                f"{type(model).__name__} must specify its input by an attribute `view`, one of "
                f"{', '.join(self.views)}; it is {name!r}."
            )
        view = self.views[name]
        if view is None:
            one_camera = name not in dataset_class(self.dataset).views
            advice = (
                f"{dataset_class(self.dataset).title} has one camera: use another data config, "
                "such as configs/data/things.yaml"
                if one_camera
                else f"Add data.init_args.{name} (train_split, val_split, ...) as in configs/data/kitti.yaml"
            )
            raise UserError(
                f"{type(model).__name__} needs the {name} view of the data, and the data config has none. {advice}."
            )
        return self.trainer, cast(ViewName, name), view

    def _open(self, split: str | None, key: str, view: ViewName, labels: bool) -> MotionDataset:
        if split is None:
            raise UserError(
                f"data.init_args.{view}.{key} is not set. Set it to a file of data_splits/, or to `scan`."
            )
        return open_dataset(self.dataset, self.root, split, view, labels, self.options, exclude=self.exclude)

    def complete_sources(self, sources: list[Source]) -> list[Source]:
        """Return the sources with unset values taken from the data module."""
        own: dict[str, Any] = {key: getattr(self, key) for key in ("dataset", "root", "options", "exclude")}
        complete = []
        for source in sources:
            if source.dataset is None or source.dataset == self.dataset:
                left = {key: value for key, value in own.items() if getattr(source, key) is None}
                source = replace(source, **left)
            complete.append(source)
        return complete

    def _mixture(self, sources: list[Source], view: ViewName, labels: bool) -> Mixture:
        parts = []
        for number, source in enumerate(self.complete_sources(sources)):
            name = source.dataset or self.dataset
            place = f"data.init_args.{view}.train_sources[{number}]"
            try:
                dataset = open_dataset(
                    name, source.root, source.split, view, labels, source.options, exclude=source.exclude
                )
            except UserError as error:
                raise UserError(f"{place} ({name}): {error}") from error
            parts.append(Part(dataset, source.weight, f"{place} ({name})"))
        return Mixture(parts)

    def _check_labels(self, keys: frozenset[str], view: ViewName) -> None:
        """Raise UserError if the model trains on labels that the data does not have."""
        assert self.trainer is not None
        if missing := [key for key in _LABELS[view] if key not in keys]:
            model = type(self.trainer.lightning_module).__name__
            raise UserError(
                f"{model} trains on {', '.join(_LABELS[view])}, but the training data ({self.dataset}) has no "
                f"{', '.join(missing)}. It can validate and predict there; for training use kitti2015, things or "
                "things_subset, or proxy labels (labels= in the split)."
            )

    def _evaluation_loader(self, dataset: MotionDataset) -> "DataLoader[Batch]":
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
            sampler=UnpaddedDistributedSampler(cast(Sized, dataset), world_size, rank),
            collate_fn=collate,
            persistent_workers=self.num_workers > 0,
            **self._loader_options(),
        )

    def _loader_options(self) -> dict[str, Any]:
        return {
            "num_workers": self.num_workers,
            "worker_init_fn": start_worker if self.num_workers > 0 else None,
            # Pinning creates a CUDA context, which is unwanted when training on the CPU of a machine with GPUs.
            "pin_memory": self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
        }
