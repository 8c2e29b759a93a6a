"""User settings of a reproduction: data folder, output folder, hardware."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flowdistill.errors import UserError
from flowdistill.recipes.reproduce.stages import DataName, Name
from flowdistill.recipes.side_by_side import cores

PUBLISHED_BATCH = 4  # both released codes: DWARF's configurations/*.json, DDFlow's config.ini
PROXY = "proxy"  # the labels' folder in the splits of data_splits/
#: Data set -> names of its folder under the data root; the first one that exists is used.
_FOLDERS: dict[DataName, tuple[str, ...]] = {
    "kitti": ("kitti2015",),
    "things": ("FlyingThings3D_subset", "FlyingThings3D"),
    "chairs": ("FlyingChairs", "FlyingChairs_release"),
    "sintel": ("MPI-Sintel", "MPI-Sintel-complete", "Sintel"),
}


@dataclass(frozen=True)
class Settings:
    """Settings of a reproduction, with this layout of the data:

    DATA_ROOT/kitti2015/training, testing                     KITTI 2015 with its multi-view extension
    DATA_ROOT/kitti2015/proxy                                  the proxy labels, written by the stage `labels`
    DATA_ROOT/FlyingThings3D_subset/train, val                 as read by the released code; or
    DATA_ROOT/FlyingThings3D/frames_cleanpass, ...             the original release
    DATA_ROOT/FlyingChairs/FlyingChairs_release/data           or DATA_ROOT/FlyingChairs_release/data
    DATA_ROOT/MPI-Sintel/training, test                        or MPI-Sintel-complete, or Sintel

    Attributes:
        data_root: contains the folders above.
        output: folder of everything else, with one folder per stage.
        seed: seed of the weights and the sampling.
        devices: devices of a machine that may be used.
        devices_each: devices of a training, which share the published batch of 4; None: the largest of 4, 2 and 1 that
            divides `devices`. On one machine, `devices // devices_each` stages run side by side.
        nodes: number of machines.
        accelerator: gpu or cpu; a smoke run uses the CPU.
        smoke: small networks, few steps: the configs of configs/reproduce/smoke/.
    """

    data_root: Path
    output: Path
    seed: int = 0
    devices: int = 1
    devices_each: int | None = None
    nodes: int = 1
    accelerator: Literal["gpu", "cpu"] = "gpu"
    smoke: bool = False

    def __post_init__(self) -> None:
        each = self.each
        if self.devices < 1 or self.nodes < 1 or each < 1 or PUBLISHED_BATCH % (each * self.nodes):
            raise UserError(
                f"DEVICES={self.devices} NODES={self.nodes}: the published batch of {PUBLISHED_BATCH} is shared among "
                f"all devices of a training, so use 1, 2 or 4 in total, not {each * self.nodes}. On one machine, "
                "DEVICES may be any number, with DEVICES_EACH=1, 2 or 4 of them per training"
            )
        if self.devices % each:
            raise UserError(f"DEVICES={self.devices} is not a multiple of DEVICES_EACH={each}")

    @property
    def each(self) -> int:
        """Devices of a training on one machine."""
        if self.devices_each is not None:
            return self.devices_each
        return self.devices if self.nodes > 1 else max(n for n in (1, 2, 4) if self.devices % n == 0)

    @property
    def samples_of_a_device(self) -> int:
        """Samples per device: its share of the published batch."""
        return PUBLISHED_BATCH // (self.each * self.nodes)

    @property
    def places(self) -> list[dict[str, str]]:
        """One set of environment variables for each of the stages that may run side by side."""
        if self.smoke:
            return [{}] * min(2, cores())
        number = self.devices // self.each if self.nodes == 1 else 1
        if number == 1 or self.accelerator == "cpu":
            return [{}] * number
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(self.devices)))
        gpus = visible.split(",")[: self.devices]
        return [
            {"CUDA_VISIBLE_DEVICES": ",".join(gpus[first : first + self.each])}
            for first in range(0, self.devices, self.each)
        ]

    def root(self, data: DataName) -> Path:
        """Return the folder of a data set: the first one that exists, or the name to create."""
        folders = [self.data_root / name for name in _FOLDERS[data]]
        return next((folder for folder in folders if folder.is_dir()), folders[-1 if data == "things" else 0])

    def config(self, data: DataName) -> str:
        """Return the config of a data set."""
        subset = data == "things" and self.root(data).name == "FlyingThings3D_subset"
        return f"configs/data/{data}{'_subset' if subset else ''}.yaml"

    def layout(self, data: DataName) -> str:
        """Return the name of a data set in its config, and of its layout."""
        if data == "kitti":
            return "kitti2015"
        return Path(self.config(data)).stem

    @property
    def trainer_config(self) -> str:
        folder, name = ("reproduce/smoke", "trainer") if self.smoke else ("trainer", self.accelerator)
        return f"configs/{folder}/{name}.yaml"

    def folder(self, stage: str) -> Path:
        """Return the output folder of a stage."""
        return self.output / stage


def default_output(reproduction: Name, seed: int, smoke: bool) -> Path:
    """Return the output folder where the user names none."""
    name = f"runs/reproduce-{reproduction}"
    return Path(f"{name}-smoke/seed{seed}") if smoke else Path(name)
