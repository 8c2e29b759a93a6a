"""User settings of a reproduction: data folder, output folder, hardware."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flowdistill.errors import UserError

PUBLISHED_BATCH = 4  # both released codes: DWARF's configurations/*.json, DDFlow's config.ini
SMOKE_OUTPUT = Path("runs/reproduce-kitti-smoke")
PROXY = "proxy"  # the labels' folder in the splits of data_splits/


@dataclass(frozen=True)
class Settings:
    """Settings of a reproduction, with this layout of the data:

    DATA_ROOT/kitti2015/training, testing                     KITTI 2015 with its multi-view extension
    DATA_ROOT/FlyingThings3D_subset/train, val                 as read by the released code; or
    DATA_ROOT/FlyingThings3D/frames_cleanpass, ...             the original release
    DATA_ROOT/kitti2015/proxy                                  the proxy labels, written by the stage `labels`

    Attributes:
        data_root: contains the folders above.
        output: folder of everything else, with one folder per stage.
        seed: seed of the weights and the sampling.
        devices: processes per machine; the published batch of 4 is shared among all.
        nodes: number of machines.
        accelerator: gpu or cpu; a smoke run uses the CPU.
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
                "all devices, so use 1, 2 or 4 in total"
            )

    @property
    def samples_of_a_device(self) -> int:
        """Samples per device: its share of the published batch."""
        return PUBLISHED_BATCH // (self.devices * self.nodes)

    @property
    def kitti(self) -> Path:
        return self.data_root / "kitti2015"

    @property
    def things(self) -> Path:
        """The subset if it exists, as published; otherwise the original release."""
        subset = self.data_root / "FlyingThings3D_subset"
        return subset if subset.is_dir() else self.data_root / "FlyingThings3D"

    @property
    def things_config(self) -> str:
        subset = self.things.name == "FlyingThings3D_subset"
        return f"configs/data/things{'_subset' if subset else ''}.yaml"

    @property
    def trainer_config(self) -> str:
        folder, name = ("reproduce/smoke", "trainer") if self.smoke else ("trainer", self.accelerator)
        return f"configs/{folder}/{name}.yaml"

    def folder(self, stage: str) -> Path:
        """Return the output folder of a stage."""
        return self.output / stage
