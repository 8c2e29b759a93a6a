"""Signals to `lightning fit` as sent by users: exit codes, messages, saved files, and the next start."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from flowdistill.stopping import SAME_REQUEST

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(rendered: Path, tmp_path: Path) -> Start:
    """Start `lightning fit` of a small network, which would run for hours, with its runs in tmp_path."""

    def started(
        *options: str, environment: dict[str, str] | None = None, prefix: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        configs = ("configs/demo/ddflow.yaml", "configs/data/rendered.yaml", "configs/trainer/cpu.yaml")
        words = [
            *prefix, str(Path(sys.executable).with_name("lightning")), "fit",
            *(part for config in configs for part in ("--config", config)),
            "--data.init_args.root", str(rendered), "--data.init_args.num_workers", "1",
            "--data.init_args.batch_size", "2", "--model.init_args.width", "0.125",
            "--data.init_args.flow.train_split", str(rendered / "train.txt"),
            "--data.init_args.flow.val_split", str(rendered / "val.txt"),
            "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false",
            "--trainer.log_every_n_steps", "1", "--trainer.max_steps", "1000000",
            "--trainer.logger.init_args.save_dir", str(tmp_path), *options,
        ]  # fmt: skip
        return subprocess.Popen(
            words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            restore_signals=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    return started


def wait_for_steps(log: Path, steps: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0][-3000:]
        if (
            log.is_file() and len(log.read_text().splitlines()) > 2 * steps
        ):  # a row for the rate, one for the loss
            return
        time.sleep(0.1)
    process.kill()
    raise AssertionError(f"no {steps} steps in time")


def end(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=90)[0]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_the_whole_group_saves_and_says_how_to_go_on(
    signum: int, code: int, start: Start, tmp_path: Path
) -> None:
    """As with a terminal's Ctrl-C, SLURM and torchrun: data-loading workers also receive the signal."""
    process = start()
    run = tmp_path / "runs" / "version_0"
    wait_for_steps(run / "metrics.csv", 5, process)
    os.killpg(process.pid, signum)
    said = end(process)
    assert process.returncode == code
    last = run / "checkpoints" / "last.ckpt"
    step = int(torch.load(last, weights_only=True)["global_step"])
    name = signal.Signals(signum).name
    assert f"{name}: stopped at step {step}, saved {last}. Resume with\n  lightning fit --config" in said
    assert said.rstrip().endswith(f"--ckpt_path {last}")
    assert "Traceback" not in said
    card = json.loads((run / "run_card.json").read_text())
    assert (card["status"], card["reason"]) == ("interrupted", f"Stopped: {name}")
    assert card["training"]["steps"] == step >= 5
    assert not list(run.rglob("*.tmp"))


def test_before_the_first_step_nothing_is_lost_by_ending_at_once(start: Start, tmp_path: Path) -> None:
    process = start()
    time.sleep(1.5)  # it imports
    process.terminate()
    said = end(process)
    assert process.returncode == 143
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_second_signal_ends_at_once(start: Start, tmp_path: Path) -> None:
    """A process that never finishes its step, like one that waits for another machine."""
    stuck = tmp_path / "stuck"
    stuck.mkdir()
    (stuck / "stuck_callback.py").write_text(
        "import time\n"
        "import pytorch_lightning as pl\n"
        "class Stuck(pl.Callback):\n"
        "    def on_train_batch_start(self, trainer, *_):\n"
        "        if trainer.global_step == 3:\n"
        "            while True:\n"
        "                time.sleep(0.1)\n"
    )
    path = os.pathsep.join([str(stuck), os.environ.get("PYTHONPATH", "")])
    process = start("--trainer.callbacks+", "stuck_callback.Stuck", environment={"PYTHONPATH": path})
    wait_for_steps(tmp_path / "runs" / "version_0" / "metrics.csv", 3, process)
    for _ in range(3):  # one request, however often it is forwarded
        process.terminate()
        time.sleep(0.2)
    time.sleep(SAME_REQUEST)
    assert process.poll() is None
    process.terminate()
    said = end(process)
    assert process.returncode == 143
    assert said.count("send it again to exit immediately") == 1
    assert "SIGTERM again: exiting immediately" in said


def test_slurm_s_signal_requeues_the_job_which_goes_on_in_its_run(start: Start, tmp_path: Path) -> None:
    """With a stand-in for `scontrol`; the job's next start has the same command line, and no --ckpt_path."""
    tools = tmp_path / "bin"
    tools.mkdir()
    scontrol = tools / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked.txt\n')
    scontrol.chmod(0o755)
    environment = {"SLURM_JOB_ID": "4711", "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    process = start(environment=environment)
    run = tmp_path / "runs" / "version_0"
    wait_for_steps(run / "metrics.csv", 5, process)
    os.killpg(process.pid, signal.SIGUSR1)
    said = end(process)
    assert process.returncode == 0, said
    assert (tmp_path / "asked.txt").read_text() == "requeue 4711\n"
    step = int(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"])
    assert f"SIGUSR1: stopped at step {step}, saved" in said
    assert "job 4711 is back in SLURM's queue" in said
    # Another run of the same name, newer than the job's, is not mistaken for it.
    other = start("--trainer.max_steps", "2")
    assert "max_steps=2" in end(other)
    environment["SLURM_RESTART_COUNT"] = "1"
    again = start("--trainer.max_steps", str(step + 3), environment=environment)
    said = end(again)
    assert again.returncode == 0, said
    assert (
        f"this SLURM job was started before: resuming from {run}/checkpoints/last.ckpt (step {step})" in said
    )
    assert sorted(path.name for path in (tmp_path / "runs").glob("version_*")) == ["version_0", "version_1"]
    rows = (run / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * (step + 3)
    assert not list((tmp_path / "runs").glob(".slurm_*"))  # it is done: the job may continue with another
    card = json.loads((run / "run_card.json").read_text())
    assert [part["first_step"] for part in card["training"]["parts"]] == [0, step]
    assert sorted(path.name for path in run.glob("config*.yaml")) == ["config.yaml", "config_resumed_1.yaml"]


def test_a_failed_requeue_is_said(start: Start, tmp_path: Path) -> None:
    process = start(environment={"SLURM_JOB_ID": "4711"})
    run = tmp_path / "runs" / "version_0"
    wait_for_steps(run / "metrics.csv", 2, process)
    process.send_signal(signal.SIGUSR1)
    said = end(process)
    assert process.returncode == 0
    assert "`scontrol requeue 4711` failed: " in said
    assert (run / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize("only_first", [True, False])
def test_two_processes_stop_at_one_step(only_first: bool, start: Start, tmp_path: Path) -> None:
    """A signal to the first process only (`kill PID`) or to all of them; no process remains."""
    process = start("--trainer.devices", "2", "--trainer.strategy", "ddp")
    run = tmp_path / "runs" / "version_0"
    wait_for_steps(run / "metrics.csv", 5, process)
    (process.terminate if only_first else lambda: os.killpg(process.pid, signal.SIGTERM))()
    said = end(process)
    assert process.returncode == 143, said
    assert said.count("SIGTERM: stopped at step") == 1
    assert "Traceback" not in said
    step = int(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"])
    assert f"stopped at step {step}, saved" in said
    assert json.loads((run / "run_card.json").read_text())["training"]["steps"] == step
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_process_that_is_killed_ends_the_other_with_one_line(start: Start, tmp_path: Path) -> None:
    process = start("--trainer.devices", "2", "--trainer.strategy", "ddp")
    run = tmp_path / "runs" / "version_0"
    wait_for_steps(run / "metrics.csv", 5, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks = [child for child in children if b"LOCAL_RANK=1" in Path(f"/proc/{child}/environ").read_bytes()]
    assert len(ranks) == 1
    os.kill(int(ranks[0]), signal.SIGKILL)
    said = end(process)
    assert process.returncode == 137
    assert said.count("another process of this training exited with code 137") == 1
    assert "Traceback" not in said
    assert json.loads((run / "run_card.json").read_text())["status"] == "interrupted"


def test_an_error_of_one_process_is_said_once(start: Start, tmp_path: Path) -> None:
    """The second process encounters a NaN: both exit with the code of user errors, one message, no traceback."""
    folder = tmp_path / "callback"
    folder.mkdir()
    (folder / "spoil_callback.py").write_text(
        "import torch\n"
        "import pytorch_lightning as pl\n"
        "class Spoil(pl.Callback):\n"
        "    def on_train_batch_start(self, trainer, module, batch, *_):\n"
        "        if trainer.global_step == 3 and trainer.global_rank == 1:\n"
        "            batch['left_t1'][0, 0, 5, 5] = torch.nan\n"
    )
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    both = (
        "--trainer.devices",
        "2",
        "--trainer.strategy",
        "ddp",
        "--trainer.callbacks+",
        "spoil_callback.Spoil",
    )
    process = start(*both, environment={"PYTHONPATH": path})
    said = end(process)
    assert process.returncode == 2
    assert said.count("error: the loss is not finite at step 3") == 1
    assert "(batch 3 of process 1, data seed 0)" in said
    assert "Traceback" not in said
    card = json.loads((tmp_path / "runs" / "version_0" / "run_card.json").read_text())
    assert card["reason"].startswith("NonFiniteLossError: the loss is not finite at step 3")
    assert len(list((tmp_path / "runs" / "version_0").glob("non_finite_step_000003_rank1.pt"))) == 1


def test_a_second_signal_ends_a_process_that_cannot_answer_the_first() -> None:
    """Its main thread waits in C, as in a collective whose peer has exited, so that no Python handler runs."""
    code = """
import ctypes
from flowdistill.stopping import signals
with signals.installed():
    signals.deferred = True
    print("waiting", flush=True)
    mutex = (ctypes.c_byte * 64)()
    libc = ctypes.CDLL(None)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)  # never comes back, nor for a signal
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.terminate()
    time.sleep(SAME_REQUEST + 0.5)
    assert process.poll() is None
    process.terminate()
    _, said = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "SIGTERM again: exiting immediately" in said


def test_the_same_command_twice_at_once_is_refused(start: Start, tmp_path: Path) -> None:
    """With `--ckpt_path last`, both would resume in the same folder."""
    first = start("--ckpt_path", "last", "--trainer.callbacks.every_n_train_steps", "2")
    run = tmp_path / "runs" / "version_0"
    wait_for_steps(run / "metrics.csv", 5, first)
    second = start("--ckpt_path", "last")
    said = end(second)
    assert second.returncode == 2
    assert f"error: {run} is in use by process {first.pid} on " in said
    assert first.poll() is None
    first.terminate()
    end(first)
    assert not (run / ".in_use").exists()
