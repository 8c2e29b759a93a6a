"""`flowdistill sweep run`: tried values, early stopping, state after a kill, results."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from optuna.exceptions import StorageInternalError
from sweep_trials import write_sweep

from flowdistill.cli.flowdistill import main
from flowdistill.tracking.sweep_file import read_sweep
from flowdistill.tracking.sweep_study import draw

REPOSITORY = Path(__file__).parents[2]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as opened:
        return list(csv.DictReader(opened))


def started(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "runs" / "started.txt").read_text().splitlines()]


@pytest.fixture
def sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`flowdistill sweep run` of a file with its search in tmp_path/search; returns its output."""

    def run(path: Path, *options: str, code: int = 0, command: str = "run") -> str:
        capsys.readouterr()
        assert main(["sweep", command, str(path), "--output", str(tmp_path / "search"), *options]) == code
        out, err = capsys.readouterr()
        return out + err

    return run


def test_a_search_tries_what_it_drew_and_ends_with_a_table(sweep: Callable[..., str], tmp_path: Path) -> None:
    path = write_sweep(tmp_path)
    said = sweep(path, "--count", "5")
    points = draw(read_sweep(path), 5)
    tried = rows(tmp_path / "search")
    assert sorted(int(row["trial"]) for row in tried) == list(range(5))
    for row in tried:
        x = points[int(row["trial"])]["x"]
        assert isinstance(x, float)
        assert float(row["x"]) == pytest.approx(x)
        assert float(row["val/epe"]) == pytest.approx(x + 1 / 8)  # the last value
        assert (row["state"], row["steps"], row["model.kind"]) == ("complete", "80", "small")
        assert (Path(row["run"]) / "metrics.csv").is_file()
    assert [float(row["val/epe"]) for row in tried] == sorted(float(row["val/epe"]) for row in tried)
    best = min(range(5), key=lambda number: points[number]["x"])
    lines = said.splitlines()
    table = lines[next(index for index, line in enumerate(lines) if line.split()[:2] == ["trial", "state"]) :]
    assert table[1].split()[:3] == ["1", str(best), "complete"]
    assert "importance (of complete trials, PED-ANOVA): x 100%" in said
    picture = cv2.imread(str(tmp_path / "search" / "search.png"))
    assert picture.shape[0] > 300
    assert (picture.std(axis=2) > 20).sum() > 500  # coloured lines
    for word in ("--x=", "--model.kind=small"):
        assert all(any(each.startswith(word) for each in trial["words"]) for trial in started(tmp_path))
    # The same command again has nothing to do; a larger count continues.
    sweep(path, "--count", "5")
    assert len(started(tmp_path)) == 5
    sweep(path, "--count", "6")
    assert len(started(tmp_path)) == 6
    assert "trial" in sweep(path, command="show")


def test_a_grid_ends_by_itself_and_jobs_share_the_processor(
    sweep: Callable[..., str], tmp_path: Path
) -> None:
    path = write_sweep(tmp_path, "grid")
    sweep(path, "--jobs", "2")
    assert sorted(float(row["x"]) for row in rows(tmp_path / "search")) == [0.25, 0.5, 0.75]
    assert {trial["threads"] for trial in started(tmp_path)} == {
        os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // 2)))
    }


def test_failed_trials_are_marked_and_do_not_end_the_search(
    sweep: Callable[..., str], tmp_path: Path
) -> None:
    path = write_sweep(tmp_path, behaviour="some")  # x over 0.8 fails
    said = sweep(path, "--count", "8")
    points = [point["x"] for point in draw(read_sweep(path), 8)]
    bad = [number for number, x in enumerate(points) if isinstance(x, float) and x > 0.8]
    assert 0 < len(bad) < 8
    found = {int(row["trial"]): row for row in rows(tmp_path / "search")}
    assert [number for number in range(8) if found[number]["state"] == "failed"] == bad
    assert found[bad[0]]["reason"] == "no data here (exit code 2)"
    assert f"trial {bad[0]}: failed: no data here (exit code 2)" in said
    assert "no data here" in (tmp_path / "search" / f"trial_{bad[0]:04d}" / "output.log").read_text()


@pytest.mark.parametrize(
    ("behaviour", "reason"), [("bad", "no data here (exit code 2)"), ("nan", "val/epe is not a number")]
)
def test_a_search_without_any_result_fails(
    sweep: Callable[..., str], tmp_path: Path, behaviour: str, reason: str
) -> None:
    sweep(write_sweep(tmp_path, behaviour=behaviour), "--count", "2", code=1)
    assert [row["reason"] for row in rows(tmp_path / "search")] == [reason] * 2


def test_a_metric_that_no_log_has_is_said(sweep: Callable[..., str], tmp_path: Path) -> None:
    path = write_sweep(tmp_path)
    path.write_text(path.read_text().replace("val/epe", "val/fl"))
    sweep(path, "--count", "1", code=1)
    assert rows(tmp_path / "search")[0]["reason"] == "its CSV log has no val/fl"


def test_what_is_worse_than_others_is_stopped_early(sweep: Callable[..., str], tmp_path: Path) -> None:
    path = write_sweep(
        tmp_path, early="early_terminate: {type: hyperband, min_iter: 2, eta: 2}", pause="0.55"
    )
    sweep(path, "--count", "5")
    found = rows(tmp_path / "search")
    early = [row for row in found if row["state"] == "stopped early"]
    assert early
    assert all(int(row["steps"]) < 80 for row in early)
    complete = [row for row in found if row["state"] == "complete"]
    assert min(float(row["x"]) for row in complete) == min(float(row["x"]) for row in found)


def start(path: Path, folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "flowdistill.cli.flowdistill", "sweep", "run", str(path), "--output",
               str(folder), *options]  # fmt: skip
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def half_way(folder: Path) -> Callable[[], bool]:
    return lambda: any(log.read_text().count("\n") > 6 for log in (folder / "runs").glob("*/metrics.csv"))


@pytest.mark.parametrize(
    "signum",
    [
        *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGINT, signal.SIGTERM)),
        signal.SIGKILL,
    ],
)
def test_a_search_that_is_stopped_goes_on_with_its_trial(tmp_path: Path, signum: signal.Signals) -> None:
    path = write_sweep(tmp_path, pause="0.2")
    search = start(path, tmp_path / "search", "--count", "3")
    until(half_way(tmp_path))
    search.send_signal(signum)
    said, _ = search.communicate(timeout=60)
    first = started(tmp_path)[0]
    assert search.returncode in (130, 143, -9)
    assert "Traceback" not in said
    if signum != signal.SIGKILL:
        assert "the same command resumes it" in said
        assert not Path(f"/proc/{first['pid']}").exists()
    else:
        time.sleep(2)  # a real training ends with its parent; this one keeps writing to its end
    again = start(path, tmp_path / "search", "--count", "3")
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert "trial 0: resumes" in said
    tried = started(tmp_path)
    assert len(tried) == 4
    run = tmp_path / "runs" / f"run_{first['pid']}"
    assert tried[1]["words"][-2:] == ["--ckpt_path", str(run)]
    found = rows(tmp_path / "search")
    assert sorted(row["trial"] for row in found) == ["0", "1", "2"]
    assert {row["state"] for row in found} == {"complete"}
    assert next(row["run"] for row in found if row["trial"] == "0") == str(run)


@pytest.mark.slow
def test_two_searches_in_one_journal_share_the_trials(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, pause="0.1")
    both = [start(path, tmp_path / f"search{number}", "--count", "6", "--storage", str(tmp_path / "journal.log"))
            for number in range(2)]  # fmt: skip
    for search in both:
        said, _ = search.communicate(timeout=120)
        assert search.returncode == 0, said
    assert len(started(tmp_path)) == 6
    assert (
        main(
            [
                "sweep",
                "show",
                str(path),
                "--storage",
                str(tmp_path / "journal.log"),
                "--output",
                str(tmp_path / "s"),
            ]
        )
        == 0
    )
    assert sorted(int(row["trial"]) for row in rows(tmp_path / "s"))[:1] == [0]
    points = sorted(point["x"] for point in draw(read_sweep(path), 6))
    assert sorted(float(row["x"]) for row in rows(tmp_path / "s")) == pytest.approx(points)


def test_a_storage_that_goes_away_leaves_no_training_behind(
    sweep: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> None:
        raise StorageInternalError("the server closed the connection\nsecond line")

    monkeypatch.setattr("optuna.trial.Trial.report", gone)
    path = write_sweep(tmp_path, pause="1")
    said = sweep(path, "--count", "2", code=2)
    assert "error: the sweep's storage does not respond (the server closed the connection)" in said
    (first,) = started(tmp_path)
    assert not Path(f"/proc/{first['pid']}").exists()


def test_another_search_in_the_folder_starts_afresh(sweep: Callable[..., str], tmp_path: Path) -> None:
    path = write_sweep(tmp_path)
    sweep(path, "--count", "1")
    (tmp_path / "search" / "study.log").unlink()
    sweep(path, "--count", "1")
    assert len({trial["pid"] for trial in started(tmp_path)}) == 2
    assert not any("--ckpt_path" in trial["words"] for trial in started(tmp_path))
    assert rows(tmp_path / "search")[0]["run"].endswith(f"run_{started(tmp_path)[1]['pid']}")


def test_mistakes_are_one_line(sweep: Callable[..., str], tmp_path: Path) -> None:
    path = write_sweep(tmp_path)
    assert "no search of" in sweep(path, code=2, command="show")
    assert "set --count to the number of trials" in sweep(path, code=2)
    assert "must be 1 or more" in sweep(path, "--count", "0", code=2)
    assert "cannot be opened" in sweep(
        path, "--count", "1", "--storage", "nonsense://me:secret@there/x", code=2
    )
    said = sweep(path, "--count", "1", "--storage", "postgresql+psycopg://me:secret@127.0.0.1:1/x", code=2)
    assert "postgresql+psycopg://me@127.0.0.1:1/x cannot be opened" in said
    assert "secret" not in said
    sweep(path, "--count", "1")
    path.write_text(path.read_text().replace("max: 1.0", "max: 2.0"))
    said = sweep(path, "--count", "2", code=2)
    assert "has a sweep 'mine' with other parameters or another metric" in said
    assert ": x. Give this one its own name" in said
    sweep(path, "--count", "1", "--name", "wider")


def test_a_real_training_is_tried(rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                  monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(REPOSITORY)
    small = [
        "--data.init_args.root", str(rendered), "--data.init_args.num_workers", "0", "--data.init_args.batch_size", "2",
        "--model.init_args.width", "0.125", f"--data.init_args.flow.train_split={rendered}/train.txt",
        f"--data.init_args.flow.val_split={rendered}/val.txt", "--trainer.max_steps", "4",
        "--trainer.val_check_interval", "2", "--trainer.logger.init_args.save_dir", str(tmp_path),
    ]  # fmt: skip
    words = [
        "sweep",
        "run",
        "configs/sweeps/demo_ddflow.yaml",
        "--count",
        "2",
        "--jobs",
        "2",
        "--output",
        str(tmp_path),
    ]
    assert main([*words, *small]) == 0
    said = capsys.readouterr().out
    found = rows(tmp_path)
    assert {row["state"] for row in found} <= {"complete", "stopped early"}
    assert sorted(Path(row["run"]).name for row in found) == ["version_0", "version_1"]
    for row in found:
        with (Path(row["run"]) / "metrics.csv").open() as opened:
            values = [line["val/epe_all"] for line in csv.DictReader(opened) if line["val/epe_all"]]
        assert float(row["val/epe_all"]) == pytest.approx(float(values[-1]))
        config = (Path(row["run"]) / "config.yaml").read_text()
        assert f"delay: {row['model.init_args.losses.census_occlusion.delay']}\n" in config
    assert "written: " in said


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[str]:
    """A server on loopback, from Debian's package; yields the URL of its database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert programs, "this test needs PostgreSQL: apt-get install postgresql"
    data, port = tmp_path / "database", 54329
    # It does not run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        tmp_path.chmod(0o755)
        for parent in tmp_path.parents:
            if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        data.mkdir()
        subprocess.run(["chown", "postgres", str(data)], check=True)
    run = [*as_user, str(programs[-1] / "initdb"), "-D", str(data), "-U", "flow", "-A", "trust"]
    subprocess.run(run, check=True, capture_output=True)
    control = [*as_user, str(programs[-1] / "pg_ctl"), "-D", str(data), "-w"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data}"
    subprocess.run(
        [*control, "-o", options, "-l", str(data / "log"), "start"], check=True, capture_output=True
    )
    yield f"postgresql+psycopg://flow:unused@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)


@pytest.mark.slow
def test_two_workers_share_a_study_on_postgresql(postgresql: str, tmp_path: Path) -> None:
    path = write_sweep(tmp_path, method="bayes", pause="0.1")
    both = [start(path, tmp_path / f"search{number}", "--count", "9", "--jobs", "2", "--storage", postgresql)
            for number in range(2)]  # fmt: skip
    for search in both:
        said, _ = search.communicate(timeout=240)
        assert search.returncode == 0, said
        assert "unused" not in said
    tried = started(tmp_path)
    assert len(tried) == 9
    assert len({trial["pid"] for trial in tried}) == 9
    found = rows(tmp_path / "search0")
    assert sorted(int(row["trial"]) for row in found if row["state"] == "complete")
    assert main(["sweep", "show", str(path), "--storage", postgresql, "--output", str(tmp_path / "s")]) == 0
    assert len(rows(tmp_path / "s")) == 9
    assert {row["state"] for row in rows(tmp_path / "s")} == {"complete"}
