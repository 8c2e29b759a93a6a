"""Photometric changes of whole batches by kornia: equal to those of the workers, for the same draws."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor

from device_traffic import DEVICE, Traffic, watched
from flowdistill.data import MotionDataModule, View
from flowdistill.data.photometric import Photometric, Strength, apply_on_device
from flowdistill.data.sample import IMAGES, Batch, Sample, collate
from small_trainer import trainer


def samples(keys: tuple[str, ...] = IMAGES) -> list[Sample]:
    generator = torch.Generator().manual_seed(1)
    return [
        cast(
            Sample,
            {key: torch.rand(3, 20, 26, generator=generator) for key in keys}
            | {"name": str(i), "flow": torch.full((2, 20, 26), 2.0)},
        )
        for i in range(3)
    ]


def both_ways(strength: Strength, keys: tuple[str, ...] = IMAGES) -> tuple[Batch, Batch]:
    """The batch from the workers, and the batch from the device."""
    on_workers, on_device = Photometric(strength), Photometric(strength, on="device")
    worker = [on_workers(s, np.random.default_rng(i)) for i, s in enumerate(samples(keys))]
    drawn = [on_device(s, np.random.default_rng(i)) for i, s in enumerate(samples(keys))]
    for before, after in zip(samples(keys), drawn, strict=True):
        assert torch.equal(before["left_t1"], after["left_t1"])
    return collate(worker), apply_on_device(collate(drawn))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("keys", [IMAGES, ("left_t0", "left_t1")])
@pytest.mark.parametrize(("colour", "blur"), [(0.6, 0.0), (0.0, 2.0), (0.6, 2.0)])
def test_device_and_workers_agree(shared: bool, keys: tuple[str, ...], colour: float, blur: float) -> None:
    worker, device = both_ways(Strength(colour, blur, shared=shared), keys)
    assert set(worker) == set(device)
    for key in keys:
        ours = cast(dict[str, Tensor], device)[key]
        torch.testing.assert_close(ours, cast(dict[str, Tensor], worker)[key], atol=3e-6, rtol=0)
        assert not torch.equal(ours, collate(samples(keys))[key])


def test_labels_are_not_touched_and_nothing_is_left_behind() -> None:
    batch = collate(
        [Photometric(Strength(1, 1, 0.1), on="device")(s, np.random.default_rng(0)) for s in samples()]
    )
    draws = set(batch) - set(samples()[0])
    assert len(draws) == 4  # the noise has strengths and seeds
    after = apply_on_device(batch)
    assert after["flow"] is batch["flow"]
    assert set(after) == set(samples()[0])
    assert draws <= set(batch)  # the caller's batch is unchanged


def test_noise_on_the_device() -> None:
    _, first = both_ways(Strength(noise=0.1, shared=True))
    torch.manual_seed(5)
    _, again = both_ways(Strength(noise=0.1, shared=True))
    before = collate(samples())
    deviations = [
        draw.noise for i in range(3) for draw in Strength(noise=0.1).draw(1, np.random.default_rng(i))
    ]
    patterns = []
    for key in IMAGES:
        images = cast(dict[str, Tensor], first)[key]
        assert torch.equal(images, cast(dict[str, Tensor], again)[key])
        assert 0 <= images.min() <= images.max() <= 1
        for image, old, deviation in zip(
            images, cast(dict[str, Tensor], before)[key], deviations, strict=True
        ):
            unclipped = (image > 0) & (image < 1) & (old > 0.3) & (old < 0.7)
            assert abs(float((image - old)[unclipped].std()) / deviation - 1) < 0.2
            patterns.append((image - old)[:, 5:15, 5:15].flatten() / deviation)
    assert torch.corrcoef(torch.stack(patterns)).fill_diagonal_(0).abs().max() < 0.35


def test_a_batch_without_draws_is_as_it_was() -> None:
    batch = collate(samples())
    assert all(cast(Any, apply_on_device(batch))[key] is value for key, value in batch.items())


class Recorder(pl.LightningModule):
    """Learns nothing, stores its input images."""

    view = "flow"
    needs_labels = False

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[Batch] = []

    def training_step(self, batch: Batch, index: int) -> Tensor:
        self.seen.append(batch)
        return self.weight * batch["left_t0"].mean()

    def validation_step(self, batch: Batch, index: int) -> None:
        self.seen.append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_under_the_trainer_both_places_give_the_same_batches(rendered: Path, tmp_path: Path) -> None:
    seen: dict[str, list[Batch]] = {}
    for place, workers in (("workers", 0), ("device", 0), ("device", 2)):
        view = View(
            train_split=str(rendered / "train.txt"),
            val_split=str(rendered / "val.txt"),
            colour=0.7,
            blur=1.0,
            photometric_on=cast(Any, place),
        )
        data = MotionDataModule(
            "kitti2015", str(rendered), flow=view, batch_size=2, num_workers=workers, seed=3
        )
        model = Recorder()
        trainer(tmp_path, 3, enable_checkpointing=False).fit(model, datamodule=data)
        seen[f"{place}{workers}"] = model.seen
    for other in ("device0", "device2"):
        assert len(seen[other]) == len(seen["workers0"]) > 3
        for batch, expected in zip(seen[other], seen["workers0"], strict=True):
            assert set(batch) == set(expected)
            assert batch["name"] == expected["name"]
            for key in ("left_t0", "left_t1"):
                torch.testing.assert_close(batch[key], expected[key], atol=3e-6, rtol=0)


def test_the_noise_of_a_picture_is_its_seed_s() -> None:
    """From the device's generator, as before: a repeated run gets the same images."""
    strength = Strength(noise=0.1, shared=False)
    _, found = both_ways(strength)
    clean = collate(samples())
    for i in range(3):
        for key, draw in zip(IMAGES, strength.draw(4, np.random.default_rng(i)), strict=True):
            noise = torch.empty(3, 20, 26).normal_(generator=torch.Generator().manual_seed(draw.seed))
            expected = (cast(Any, clean)[key][i] + noise * torch.tensor(draw.noise)).clamp(0, 1)
            assert torch.equal(cast(Any, found)[key][i], expected)


def test_nothing_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Photometric(Strength(1, 2, 0.1), on="device")
    batch = collate([drawn(sample, np.random.default_rng(0)) for sample in samples()])
    on_device = move_data_to_device(batch, DEVICE)  # as Lightning does
    # The meta device has no generators; making and seeding one is the host's work.
    monkeypatch.setattr("torch.Generator", lambda device: SimpleNamespace(manual_seed=lambda seed: None))
    with watched(Traffic()) as traffic:
        changed = apply_on_device(on_device)
    assert traffic.all == []
    assert all(cast(Any, changed)[key].device == DEVICE for key in IMAGES)
