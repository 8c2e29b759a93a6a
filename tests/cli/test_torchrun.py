"""`lightning fit` started by torchrun: two agents, as on two machines, behave like one with two processes."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
Agent = Callable[..., subprocess.Popen[str]]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def agent(rendered: Path, tmp_path: Path) -> Agent:
    """Start one torchrun agent with its share of a training of two processes."""

    def started(name: str, port: int, machines: int, steps: int) -> subprocess.Popen[str]:
        here = Path(sys.executable)
        configs = ("configs/demo/ddflow.yaml", "configs/data/rendered.yaml", "configs/trainer/cpu.yaml")
        each = 2 // machines
        words = [
            str(here.with_name("torchrun")), "--nnodes", str(machines), "--nproc-per-node", str(each),
            "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", name, "--no-python",
            str(here.with_name("lightning")), "fit",
            *(part for config in configs for part in ("--config", config)),
            "--data.init_args.root", str(rendered), "--data.init_args.num_workers", "0",
            "--data.init_args.batch_size", "2", "--model.init_args.width", "0.125",
            "--data.init_args.flow.train_split", str(rendered / "train.txt"),
            "--data.init_args.flow.val_split", str(rendered / "val.txt"),
            "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false",
            "--trainer.log_every_n_steps", "1", "--trainer.max_steps", str(steps), "--trainer.val_check_interval", "2",
            "--trainer.devices", str(each), "--trainer.num_nodes", str(machines), "--trainer.strategy", "ddp",
            "--trainer.logger.init_args.save_dir", str(tmp_path), "--trainer.logger.init_args.name", name,
        ]  # fmt: skip
        return subprocess.Popen(
            words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    return started


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [
            {name: value for name, value in row.items() if value != "" and not name.startswith("pace/")}
            for row in csv.DictReader(file)
        ]


def test_two_agents_train_as_one(agent: Agent, tmp_path: Path) -> None:
    port = free_port()
    both = [agent("two", port, 2, 3) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    alone = agent("one", free_port(), 1, 3)
    text, _ = alone.communicate(timeout=120)
    assert alone.returncode == 0, text
    runs = [tmp_path / name / "version_0" for name in ("one", "two")]
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["version_0"]
    assert rows(runs[0]) == rows(runs[1])
    states = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in runs]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert "".join(said).count("batch of 2 = 2 processes x 1 accumulated batch x 1 sample") == 1


@pytest.mark.slow
def test_a_machine_that_dies_ends_the_other(agent: Agent, tmp_path: Path) -> None:
    port = free_port()
    both = [agent("two", port, 2, 1_000_000) for _ in range(2)]
    log = tmp_path / "two" / "version_0" / "metrics.csv"
    deadline = time.monotonic() + 90
    while not log.is_file() or len(log.read_text().splitlines()) < 10:
        assert all(process.poll() is None for process in both)
        assert time.monotonic() < deadline
        time.sleep(0.2)
    # Kill the whole second machine at once: child processes of the agent have their own sessions.
    children = Path(f"/proc/{both[1].pid}/task/{both[1].pid}/children").read_text().split()
    for pid in (both[1].pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    text, _ = both[0].communicate(timeout=120)
    assert both[0].returncode != 0
    assert "another process of this training exited, so this one cannot continue" in text
