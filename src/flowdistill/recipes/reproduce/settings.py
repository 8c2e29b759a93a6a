"""What the user says about a reproduction: where the data are, where the runs go, on what it computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flowdistill.errors import UserError

PUBLISHED_BATCH = 4  # both released codes: DWARF's configurations/*.json, DDFlow's config.ini
SMOKE_OUTPUT = Path("runs/reproduce-kitti-smoke")
PROXY = "proxy"  # the labels' folder that the splits in data_splits/ name


@dataclass(frozen=True)
class Settings:
    """
    DATA_ROOT/kitti2015/training, testing                     KITTI 2015 with its multi-view extension
    DATA_ROOT/FlyingThings3D_subset/train, val                 as the released code reads it; or
    DATA_ROOT/FlyingThings3D/frames_cleanpass, ...             the original release
    DATA_ROOT/kitti2015/proxy                                  the proxy labels, which the stage `labels` writes

    Attributes:
        data_root: holds the folders above.
        output: everything else goes there, a folder for each stage.
        seed: of the weights and the sampling.
        devices: processes of a machine; the published batch of 4 is shared among all.
        nodes: machines.
        accelerator: gpu or cpu; a smoke run takes the CPU.
        smoke: small networks, few steps: the configs of configs/reproduce/smoke/.
    """

    data_root: Path
    output: Path
    seed: int = 0
    devices: int = 1
    nodes: int = 1
    accelerator: Literal["gpu", "cpu"] = "gpu"
    smoke: bool = False

    def __post_init__(self) -> None:
        processes = self.devices * self.nodes
        if self.devices < 1 or self.nodes < 1 or PUBLISHED_BATCH % processes:
            raise UserError(
                f"DEVICES={self.devices} NODES={self.nodes}: the published batch of {PUBLISHED_BATCH} is shared among "
                "all devices, so take 1, 2 or 4 in all"
            )

    @property
    def samples_of_a_device(self) -> int:
        """Its share of the published batch."""
        return PUBLISHED_BATCH // (self.devices * self.nodes)

    @property
    def kitti(self) -> Path:
        return self.data_root / "kitti2015"

    @property
    def things(self) -> Path:
        """The subset where it is, as published; else the original release."""
        subset = self.data_root / "FlyingThings3D_subset"
        return subset if subset.is_dir() else self.data_root / "FlyingThings3D"

    @property
    def things_config(self) -> str:
        subset = self.things.name == "FlyingThings3D_subset"
        return f"configs/data/things{'_subset' if subset else ''}.yaml"

    @property
    def trainer_config(self) -> str:
        return (
            "configs/reproduce/smoke/trainer.yaml"
            if self.smoke
            else f"configs/trainer/{self.accelerator}.yaml"
        )

    def folder(self, stage: str) -> Path:
        """Where a stage keeps what it makes."""
        return self.output / stage
