"""Data settings of one kind of model: splits, sources and augmentation."""

from dataclasses import dataclass

from flowdistill.data.augmentation import Augmentation, check_augmentation
from flowdistill.errors import UserError


@dataclass
class Source:
    """One data set of a training mixture.

    Attributes:
        split: a split file, or a word such as `scan`, as for `train_split`.
        weight: number of times each of its samples occurs per epoch.
        dataset: kitti2015, kitti2012, things, things_subset, chairs, sintel or folder; by default the data module's.
        root: its data folder; by default that of the data module, if the dataset is also the data module's.
        options: of the dataset; by default those of the data module, if the dataset is also the data module's.
        exclude: a list of samples to exclude; by default that of the data module, on the same condition.

    Examples:
        >>> from flowdistill.data import Source, View
        >>> view = View(train_sources=[Source("scan", weight=100, dataset="sintel"), Source("scan", dataset="things")])
        >>> [source.weight for source in view.train_sources]
        [100, 1]
    """

    split: str
    weight: int = 1
    dataset: str | None = None
    root: str | None = None
    options: dict[str, str | int] | None = None
    exclude: str | None = None


@dataclass
class View(Augmentation):
    """Splits of one kind of model, and the augmentation of its training samples.

    Attributes:
        train_split: a file of `data_splits/`, or a word defined by the dataset, such as `scan`: every pair of frames.
        val_split: the same, for validation and test; if it is not set, training runs without validation.
        predict_split: the same, for prediction; by default the validation split.
        train_sources: instead of train_split: several data sets to train on, each with a weight.

    Examples:
        >>> from flowdistill.data import View
        >>> view = View(train_split="data_splits/kitti_160.txt", preset="dwarf_kitti", zoom_probability=0.0)
        >>> full = view.with_preset()
        >>> full.crop, full.zoom_probability  # the preset's crop; its zoom is overridden
        ((320, 896), 0.0)
    """

    train_split: str | None = None
    val_split: str | None = None
    predict_split: str | None = None
    train_sources: list[Source] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        # jsonargparse turns `null` on the command line into this word for fields of a dataclass.
        for name in ("train_split", "val_split", "predict_split"):
            if getattr(self, name) == "None":
                setattr(self, name, None)


def check_view(place: str, view: View, stereo: bool) -> None:
    """Reject settings that are incompatible.

    Args:
        place: path of the view in the config, for the message: data.init_args.flow.
        view: to check.
        stereo: whether its samples are stereo pairs.

    Raises:
        UserError: with the key and its valid values.
    """
    check_augmentation(place, view, stereo)
    if view.train_sources is not None and not view.train_sources:
        raise UserError(f"{place}.train_sources is empty. Name at least one source, or set it to null.")
    if view.train_sources is not None and view.train_split is not None:
        raise UserError(
            f"{place} has both train_split and train_sources. Set train_split to null, and add its split to the "
            "sources if it should be part of the mixture."
        )
