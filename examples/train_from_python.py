"""Train DDFlow from Python, without YAML, on rendered video: a few steps, and its error beside that of no motion.

    python examples/train_from_python.py --steps 300 --output runs/example

`lightning fit` does the same from configs and adds run cards, resuming and loggers; this is the bare API.
"""

import argparse
from pathlib import Path

import pytorch_lightning as pl

from flowdistill.data import MotionDataModule, View
from flowdistill.losses import Schedule
from flowdistill.recipes.commands import render
from flowdistill.training import DDFlowModule

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--output", type=Path, default=Path("runs/example"))
options = parser.parse_args()

data = options.output / "data"
render(
    data, "--scenes 32 --frames 3 --size 64x128 --layout kitti2015 --seed 0"
)  # once; anew if it was interrupted

pl.seed_everything(0)
view = View(train_split="scan", val_split="scan", flips=True, channel_swap=True)
module = MotionDataModule("kitti2015", root=str(data), flow=view, batch_size=4, num_workers=1)
model = DDFlowModule(
    losses={"abs_robust_mean_no_occlusion": 1.0, "census_no_occlusion": Schedule([(0, 0.0), (100, 1.0)])},
    width=0.25,
    initialization="linear",
    learning_rate=1e-3,
)
trainer = pl.Trainer(
    accelerator="cpu", max_steps=options.steps, max_epochs=-1, logger=False, enable_checkpointing=False,
    check_val_every_n_epoch=None, val_check_interval=options.steps, limit_val_batches=8,
)  # fmt: skip
trainer.fit(model, module)
trainer.save_checkpoint(options.output / "last.ckpt")
values = {name: float(value) for name, value in trainer.callback_metrics.items()}
print(f"census distance {values['val/census']:.3f}, without motion {values['val/census_zero_motion']:.3f}")
print(
    f"flow EPE {values['val/epe_all']:.2f} px after {options.steps} steps; checkpoint {options.output}/last.ckpt"
)
