"""Kill a training repeatedly at random times, and compare the result with an uninterrupted training.

    python benchmarks/reliability.py --signal KILL --times 20 --processes 1

Prints how many rows of the log and how many weights differ (none may), and how many steps had to be repeated.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

ROOT = Path(__file__).parents[1]
EVERY = 10  # steps between checkpoints


def command(data: Path, runs: Path, name: str, steps: int, processes: int) -> list[str]:
    """Return the command of a small DDFlow on rendered frames, with augmentation, workers and validation."""
    configs = ("configs/demo/ddflow.yaml", "configs/data/rendered.yaml", "configs/trainer/cpu.yaml")
    together = ["--trainer.devices", str(processes), "--trainer.strategy", "ddp"] if processes > 1 else []
    callback = "flowdistill.training.Checkpoints"
    return [
        str(Path(sys.executable).with_name("lightning")), "fit",
        *(part for config in configs for part in ("--config", config)),
        "--data.init_args.root", str(data), "--data.init_args.batch_size", "2", "--data.init_args.num_workers", "1",
        "--data.init_args.flow.train_split", str(data / "train.txt"),
        "--data.init_args.flow.val_split", str(data / "val.txt"),
        "--data.init_args.flow.flips", "true", "--data.init_args.flow.colour_probability", "0.5",
        "--model.init_args.width", "0.125", "--best.metric", "val/epe_all",
        "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false",
        "--trainer.log_every_n_steps", "1", "--trainer.val_check_interval", "25",
        "--trainer.callbacks", "pytorch_lightning.callbacks.LearningRateMonitor",
        "--trainer.callbacks+", callback, "--trainer.callbacks.every_n_train_steps", str(EVERY),
        "--trainer.logger.init_args.save_dir", str(runs), "--trainer.logger.init_args.name", name,
        "--trainer.max_steps", str(steps), "--ckpt_path", "last", *together,
    ]  # fmt: skip


def rows(file: Path) -> dict[int, dict[str, str]]:
    """Return step -> its logged values; a repeated value is an error."""
    found: dict[int, dict[str, str]] = {}
    with file.open(newline="") as opened:
        for row in csv.DictReader(opened):
            own = found.setdefault(int(row["step"]), {})
            for name, value in row.items():
                if value == "" or name == "epoch" or name.startswith("pace/"):  # depends on time
                    continue
                if name in own and name != "step":
                    raise SystemExit(f"{file}: {name} of step {row['step']} is logged twice")
                own[name] = value
    return found


def last_step(file: Path) -> int:
    return max(rows(file), default=-1) + 1 if file.is_file() else 0


def saved_step(run: Path) -> int:
    last = run / "checkpoints" / "last.ckpt"
    return int(torch.load(last, weights_only=True, mmap=True)["global_step"]) if last.is_file() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signal", choices=("KILL", "TERM", "INT"), default="KILL")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signum = signal.Signals[f"SIG{options.signal}"]
    expected = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[signum]
    moments = random.Random(options.seed)
    with TemporaryDirectory() as place:
        data, runs = Path(place, "data"), Path(place, "runs")
        render = [
            "data",
            "render",
            "--output",
            str(data),
            "--scenes",
            "6",
            "--frames",
            "3",
            "--size",
            "64x128",
        ]
        flowdistill = str(Path(sys.executable).with_name("flowdistill"))
        subprocess.run(
            [flowdistill, *render, "--seed", "7", "--layout", "kitti2015"], check=True, capture_output=True
        )
        ids = [f"{scene:06d}_{frame:02d}" for scene in range(6) for frame in range(2)]
        (data / "train.txt").write_text("\n".join(ids[:8]))
        (data / "val.txt").write_text("\n".join(ids[8:11]))
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}

        def start(name: str, log: Path) -> subprocess.Popen[bytes]:
            words = command(data, runs, name, options.steps, options.processes)
            with log.open("ab") as file:
                return subprocess.Popen(
                    words, cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
                )

        log = Path(place, "log.txt")
        run = runs / "broken"  # the folder of the run with a checkpoint, once there is one
        done = 0
        twice = lost = 0
        while done < options.times:
            process = start("broken", log)
            # Importing alone takes seconds; a few of the signals arrive during it.
            time.sleep(moments.uniform(3.0, 14.0))
            if process.poll() is not None:
                raise SystemExit(
                    f"exited on its own, code {process.returncode}: increase --steps\n{log.read_text()[-3000:]}"
                )
            os.killpg(process.pid, signum) if signum == signal.SIGKILL else process.send_signal(signum)
            code = process.wait(timeout=120)
            if code != expected:
                raise SystemExit(f"exit code {code}, expected {expected}\n{log.read_text()[-3000:]}")
            done += 1
            run = next((file.parents[1] for file in runs.glob("broken/*/checkpoints/last.ckpt")), run)
            reached, saved = last_step(run / "metrics.csv"), saved_step(run)
            twice += max(0, reached - saved)
            if signum != signal.SIGKILL:
                lost += reached != saved
            print(f"{done:3d}: at step {reached}, saved {saved}", flush=True)
        if start("broken", log).wait() != 0 or start("whole", log).wait() != 0:
            raise SystemExit(log.read_text()[-3000:])
        whole = runs / "whole" / "version_0"
        kept, alone = rows(run / "metrics.csv"), rows(whole / "metrics.csv")
        names = {(step, name) for found in (kept, alone) for step, row in found.items() for name in row}
        other = [
            (step, name)
            for step, name in names
            if kept.get(step, {}).get(name) != alone.get(step, {}).get(name)
        ]
        files = ("last.ckpt", "best.ckpt")
        states = [
            [torch.load(folder / "checkpoints" / file, weights_only=True) for file in files]
            for folder in (run, whole)
        ]
        weights = [
            (file, name)
            for file, one, two in zip(files, *states, strict=True)
            for name in one["state_dict"]
            if not torch.equal(one["state_dict"][name], two["state_dict"][name])
        ]
        print(
            f"SIG{options.signal} x {options.times}, {options.processes} process(es), a checkpoint every {EVERY} of "
            f"{options.steps} steps: {len(other)} of {len(names)} logged values and {len(weights)} weights differ; "
            f"{twice} steps repeated; after {lost} signals the log had steps that were not saved"
        )
        if other or weights:
            raise SystemExit(f"different: {sorted(other)[:10]} {weights[:10]}")


if __name__ == "__main__":
    main()
