"""Every `lightning fit` writes a card, which agrees with the files, git, the log and the splits."""

import csv
import hashlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml

from flowdistill.cli.lightning import main
from flowdistill.tracking import RunCard, read_card
from flowdistill.tracking.callback import RunCardWriter
from flowdistill.tracking.markdown import to_markdown
from flowdistill.tracking.step_time import WARM_UP_CPU
from flowdistill.training import AtomicCheckpointIO, Checkpoints
from small_trainer import flow_data, small_ddflow, trainer

ROOT = Path(__file__).parents[2]
STEPS = 14


def arguments(rendered: Path, folder: Path, name: str, steps: int, *more: str) -> list[str]:
    configs = ("configs/demo/ddflow.yaml", "configs/data/rendered.yaml", "configs/trainer/cpu.yaml")
    return [
        "fit", *(part for config in configs for part in ("--config", config)),
        "--data.init_args.root", str(rendered), "--data.init_args.num_workers", "0",
        "--data.init_args.batch_size", "1", "--data.init_args.seed", "3", "--seed_everything", "5",
        "--data.init_args.flow.train_split", str(rendered / "train.txt"),
        "--data.init_args.flow.val_split", "scan", "--model.init_args.width", "0.125",
        "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false",
        "--trainer.max_steps", str(steps), "--trainer.val_check_interval", "7",
        "--trainer.log_every_n_steps", "1", "--best.metric", "val/epe_all",
        "--trainer.logger.init_args.save_dir", str(folder), "--trainer.logger.init_args.name", name, *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def runs(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of STEPS steps (version_0), and the same resumed for three more (version_1)."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "exclude.txt").write_text("000000_01\n")
    excluded = ["--data.init_args.exclude", str(folder / "exclude.txt")]
    save = AtomicCheckpointIO.save_checkpoint

    def saved(
        self: AtomicCheckpointIO, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        save(self, checkpoint, path, storage_options)
        (folder / "saved.txt").open("a").write(f"{Path(path).name}\n")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(AtomicCheckpointIO, "save_checkpoint", saved)
        assert main(arguments(rendered, folder, "tiny", STEPS, *excluded)) == 0
        last = folder / "tiny" / "version_0" / "checkpoints" / "last.ckpt"
        more = arguments(rendered, folder, "tiny", STEPS + 3, *excluded, "--ckpt_path", str(last))
        assert main(more) == 0
    return folder / "tiny"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def training(card: RunCard) -> Any:
    assert card.training is not None
    return card.training


def test_weights_are_those_on_disk_at_the_very_end(runs: Path) -> None:
    for version, step in (("version_0", STEPS), ("version_1", STEPS + 3)):
        card = read_card(runs / version)
        assert set(card.weights) == {"last", "best"}
        for record in card.weights.values():
            content = (runs / version / record["path"]).read_bytes()
            assert (record["sha256"], record["bytes"]) == (sha256(content), len(content))
        last = torch.load(runs / version / "checkpoints" / "last.ckpt", weights_only=True)
        assert last["global_step"] == card.weights["last"]["step"] == step


def test_the_best_checkpoint_knows_its_own_metrics(runs: Path) -> None:
    best = torch.load(runs / "version_0" / "checkpoints" / "best.ckpt", weights_only=True)
    kept = best["callbacks"]["RunCardWriter"]
    assert kept["metrics_step"] == best["global_step"]
    assert kept["metrics"]["val/epe_all"] == best["callbacks"]["BestCheckpoint"]["value"]


def test_config_command_and_seeds_are_those_of_the_run(runs: Path, rendered: Path) -> None:
    card = read_card(runs / "version_0")
    written = yaml.safe_load((runs / "version_0" / "config.yaml").read_text())
    assert card.config == json.loads(json.dumps(written))
    assert card.command.startswith("lightning fit --config configs/demo/ddflow.yaml --config ")
    assert card.seeds == {"seed_everything": 5, "data": 3}
    assert (card.name, card.status, card.reason) == ("tiny/version_0", "completed", None)
    devices = training(card)["devices"]
    assert (devices["accelerator"], devices["devices"], devices["nodes"]) == ("cpu", 1, 1)
    assert devices["precision"] == "32-true"


def test_the_commit_is_gits(runs: Path) -> None:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    code = read_card(runs / "version_0").code
    assert code["commit"] == git("rev-parse", "HEAD").strip()
    assert code["dirty"] == bool(git("diff", "HEAD", "--name-only").strip())


def test_splits_are_hashed_as_they_were_used(runs: Path, rendered: Path) -> None:
    splits = read_card(runs / "version_0").splits
    lines = [line for line in (rendered / "train.txt").read_text().splitlines() if line != "000000_01"]
    assert splits["train"]["sha256"] == sha256("".join(f"{line}\n" for line in lines).encode())
    assert splits["train"]["entries"] == 3
    source = splits["train"]["sources"][0]
    assert source["split"] == str(rendered / "train.txt")
    exclude = source["exclude"]
    assert exclude is not None
    assert exclude["sha256"] == sha256(b"000000_01\n")
    # Three scenes of three frames: two pairs each, in order of their names.
    scanned = [f"{scene:06d}_{frame:02d}" for scene in range(3) for frame in range(2)]
    scanned.remove("000000_01")
    assert splits["val"]["sources"][0]["split"] == "scan"
    assert splits["val"]["sha256"] == sha256("".join(f"{line}\n" for line in scanned).encode())


def test_metrics_are_those_of_the_last_validation(runs: Path) -> None:
    for version, step in (
        ("version_0", 14),
        ("version_1", 14),
    ):  # the resumed run ends before its next validation
        card = read_card(runs / version)
        assert training(card)["metrics_step"] == step
        with (runs / "version_0" / "metrics.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["val/epe_all"]]
        logged = {name: float(value) for name, value in rows[-1].items() if name.startswith("val/")}
        assert int(rows[-1]["step"]) + 1 == step
        assert card.metrics == pytest.approx(logged, rel=1e-6)
        best = training(card)["best"]
        assert best["value"] == pytest.approx(min(float(row["val/epe_all"]) for row in rows), rel=1e-6)
        assert (best["metric"], best["mode"]) == ("val/epe_all", "min")


def test_a_resumed_run_tells_of_both_parts(runs: Path) -> None:
    first, card = read_card(runs / "version_0"), read_card(runs / "version_1")
    earlier, later = training(card)["parts"]
    assert (earlier["folder"], later["folder"]) == (str(runs / "version_0"), str(runs / "version_1"))
    assert (earlier["first_step"], earlier["last_step"], earlier["resumed_from"]) == (0, STEPS, None)
    assert (later["first_step"], later["last_step"]) == (STEPS, STEPS + 3)
    assert later["resumed_from"] == str(runs / "version_0" / "checkpoints" / "last.ckpt")
    assert (training(card)["steps"], training(card)["planned_steps"]) == (STEPS + 3, STEPS + 3)
    assert card.started == first.started
    assert card.wall_time == pytest.approx(earlier["seconds"] + later["seconds"])
    # last.ckpt was written just before the first card, and has the time up to then.
    assert earlier["seconds"] <= first.wall_time < earlier["seconds"] + 5
    assert later["seconds"] > 0


def test_steps_are_timed_without_warm_up_and_validation(runs: Path) -> None:
    timed = training(read_card(runs / "version_0"))["step_time"]
    # Of 14 steps 2 are warm-up (on a CPU); a validation follows step 7, the end step 14.
    assert timed["count"] == STEPS - WARM_UP_CPU - 2
    assert 0 < timed["lower_quartile"] <= timed["median"] <= timed["upper_quartile"] < 10
    assert training(read_card(runs / "version_1"))["step_time"]["count"] == 0


def test_checkpoints_are_written_whole_or_not_at_all(runs: Path) -> None:
    """tests/training/test_atomic_io.py tests the writer itself; this tests that `lightning` uses it."""
    assert {"last.ckpt", "best.ckpt"} <= set((runs.parent / "saved.txt").read_text().split())


def test_memory_is_plausible(runs: Path) -> None:
    memory = read_card(runs / "version_0").memory
    assert memory["cuda"] is None
    assert memory["process"] is not None
    assert 1e8 < memory["process"] < 1e11  # torch alone needs 200 MB


def test_the_page_holds_the_numbers(runs: Path) -> None:
    card = read_card(runs / "version_0")
    page = (runs / "version_0" / "run_card.md").read_text()
    assert page == to_markdown(card, runs / "version_0")
    assert f"{card.metrics['val/epe_all']:#.4g}" in page
    for text in (card.weights["last"]["sha256"], card.splits["val"]["sha256"], str(card.code["commit"])):
        assert text in page
    assert f"| {STEPS} of {STEPS} " in page
    config = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    assert config["trainer"]["max_steps"] == STEPS
    assert f"resumed at {STEPS}" in (runs / "version_1" / "run_card.md").read_text()


class Stop(pl.Callback):
    """Raises an exception at the start of a step."""

    def __init__(self, step: int, error: BaseException) -> None:
        self.step, self.error = step, error

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise self.error


@pytest.fixture
def _interrupts() -> Iterator[None]:
    """Lightning ignores Ctrl-C after the first."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def fit(folder: Path, rendered: Path, steps: int, *callbacks: pl.Callback, **options: Any) -> None:
    writer = RunCardWriter("lightning fit", {"model": options.pop("model", {})})
    keep = Checkpoints(every_n_train_steps=2)
    resume = options.pop("resume", None)
    defaults: dict[str, Any] = {"logger": pl.loggers.CSVLogger(folder, "run"), "val_check_interval": 2}
    run = trainer(folder, steps, callbacks=[writer, keep, *callbacks], **(defaults | options))
    run.fit(small_ddflow(), flow_data(rendered), ckpt_path=resume)


@pytest.mark.usefixtures("_interrupts")
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("out of luck\nand of space"), "RuntimeError: out of luck"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_an_interrupted_run_says_so(
    error: BaseException, reason: str, rendered: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit if isinstance(error, KeyboardInterrupt) else RuntimeError):
        fit(tmp_path, rendered, 9, Stop(3, error))
    card = read_card(tmp_path / "run" / "version_0")
    assert (card.status, card.reason) == ("interrupted", reason)
    assert (training(card)["steps"], training(card)["planned_steps"]) == (3, 9)
    assert training(card)["metrics_step"] == 2
    last = card.weights["last"]
    assert last["step"] == 2  # the newest one
    assert last["sha256"] == sha256((tmp_path / "run" / "version_0" / last["path"]).read_bytes())
    # It resumes from there; the second time no steps are left.
    checkpoint = tmp_path / "run" / "version_0" / last["path"]
    fit(tmp_path, rendered, 4, resume=checkpoint)
    resumed = read_card(tmp_path / "run" / "version_1")
    assert resumed.status == "completed"
    assert [part["first_step"] for part in training(resumed)["parts"]] == [0, 2]
    assert [part["last_step"] for part in training(resumed)["parts"]] == [2, 4]
    fit(tmp_path, rendered, 4, resume=tmp_path / "run" / "version_1" / "checkpoints" / "last.ckpt")
    idle = read_card(tmp_path / "run" / "version_2")
    assert training(idle)["steps"] == 4
    assert idle.metrics == resumed.metrics
    assert idle.weights == {}


def test_weights_to_start_from_are_hashed_and_remembered(rendered: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.ckpt"
    start.write_bytes(b"weights")
    teacher = {"class_path": "CheckpointTeacher", "init_args": {"checkpoint": str(start)}}
    model = {"class_path": "x", "init_args": {"init_from": str(start), "teacher": teacher, "width": 1.0}}
    fit(tmp_path, rendered, 2, model=model)
    inputs = read_card(tmp_path / "run" / "version_0").inputs
    record = {"path": str(start), "bytes": 7, "sha256": sha256(b"weights")}
    assert inputs == {"init_from": record, "teacher.checkpoint": record}
    start.write_bytes(b"others")  # the resumed run does not read them
    last = tmp_path / "run" / "version_0" / "checkpoints" / "last.ckpt"
    fit(tmp_path, rendered, 3, model=model, resume=last)
    assert read_card(tmp_path / "run" / "version_1").inputs == inputs


def test_the_sanity_check_is_no_validation(rendered: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="now"):
        fit(tmp_path, rendered, 9, Stop(1, RuntimeError("now")), num_sanity_val_steps=1)
    card = read_card(tmp_path / "run" / "version_0")
    assert (card.metrics, training(card)["metrics_step"]) == ({}, None)


@pytest.mark.parametrize("option", [{"logger": False}, {"fast_dev_run": True}])
def test_no_card_without_a_run_folder(option: dict[str, Any], rendered: Path, tmp_path: Path) -> None:
    fit(tmp_path, rendered, 2, **option)
    assert not list(tmp_path.rglob("run_card*"))


def test_no_card_of_what_failed_before_its_first_step(rendered: Path, tmp_path: Path) -> None:
    class Fail(pl.Callback):
        def on_sanity_check_start(self, *_: Any) -> None:
            raise RuntimeError("early")

    with pytest.raises(RuntimeError, match="early"):
        fit(tmp_path, rendered, 2, Fail(), num_sanity_val_steps=1)
    assert not list(tmp_path.rglob("run_card*"))
