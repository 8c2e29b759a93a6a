"""`flowdistill runs` on folders of runs in every state: hand-made folders, and one real run."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from flowdistill.cli.flowdistill import main
from flowdistill.tracking import now, stage_card, write_card
from flowdistill.tracking.environment import commit_page
from flowdistill.tracking.run_tables import differing
from flowdistill.tracking.runs import Run, find_runs, names_of
from flowdistill.visual.run_curves import COLOURS, draw_run_curves

HOLD = """
import sys
from pathlib import Path
from flowdistill.tracking.in_use import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def write_run(folder: Path, rate: float = 0.1, log: str | None = None, name: str = "DDFlowModule") -> Path:
    """A killed run: config and log, no card."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        f"seed_everything: 0\ntrainer: {{max_steps: 40, logger: {{init_args: {{save_dir: {folder}}}}}}}\n"
        f"model: {{class_path: flowdistill.training.{name}, init_args: {{learning_rate: {rate}, "
        "losses: {census_occlusion: {knots: [[0, 1.0]], scale: 2.0}}}}\n"
        "data: {class_path: flowdistill.data.MotionDataModule, init_args: {dataset: sintel}}\n"
    )
    (folder / "metrics.csv").write_text(
        "epoch,step,train/loss,val/epe_all,val/occlusion_recall\n0,9,2.5,,\n0,9,,4.0,0.5\n0,19,1.5,,\n0,19,,3.0,0.75\n"
        "0,29,nan,,\n0,29,,3.5,0.7\n0,39,1.0,\n" if log is None else log
    )  # fmt: skip
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`flowdistill runs WORDS`; returns what it printed, tables and remarks."""
    monkeypatch.setenv("COLUMNS", "160")

    def started(*words: object, code: int = 0) -> str:
        capsys.readouterr()
        assert main(["runs", *map(str, words)]) == code
        out, err = capsys.readouterr()
        return out + err

    return started


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A folder in which another process trains."""
    folder = write_run(tmp_path / "runs" / "version_9")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    yield folder
    holder.kill()
    holder.wait()


def test_a_log_is_read_as_it_stands(tmp_path: Path) -> None:
    found = Run(write_run(tmp_path / "a"))
    assert set(found.curves) == {"train/loss", "val/epe_all", "val/occlusion_recall"}
    assert (found.curves["val/epe_all"].steps, found.curves["val/epe_all"].values) == (
        [9, 19, 29],
        [4.0, 3.0, 3.5],
    )
    assert found.curves["val/epe_all"].best(largest=False) == 3.0
    assert found.curves["val/occlusion_recall"].best(largest=True) == 0.75
    losses = found.curves["train/loss"]
    assert losses.steps == [9, 19, 29, 39]
    assert np.isnan(losses.values[2])
    assert losses.best(largest=False) == 1.0
    assert (found.steps, found.planned, found.status, found.data) == (40, 40, "killed", "sintel")
    assert not found.remarks
    broken = Run(write_run(tmp_path / "b", log="step,val/epe_all\n9,4.0\n19,3.0\n29,1"))
    assert broken.curves["val/epe_all"].values == [4.0, 3.0]  # the incomplete last line is ignored
    assert not Run(write_run(tmp_path / "c", log="")).curves


def test_a_list_tells_what_became_of_each(run: Callable[..., str], held: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "version_0")
    damaged = write_run(tmp_path / "runs" / "version_1", log="step,val/epe_all\n9,many\n19,2.0\n")
    (damaged / "run_card.json").write_text('{"format": 1')
    (damaged / "config.yaml").write_text("model: [")
    stage = tmp_path / "runs" / "labels"
    stage.mkdir()
    write_card(stage_card("labels", ["flowdistill", "labels"], now(), metrics={"val/epe_all": 7.0}), stage)
    for hidden in ("checkpoints", "wandb", ".trash", "attempt_1"):
        write_run(tmp_path / "runs" / "version_0" / hidden)
    said = run("list", tmp_path / "runs", "--sort", "name")
    lines = said.splitlines()
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["labels", "completed"], ["version_0", "killed"], ["version_1", "killed"], ["version_9", "running"],
    ]  # fmt: skip
    assert re.search(r"version_0 +killed +40 +3\.500 +3 ", said)
    assert re.search(r"labels +completed +- +7 ", said)
    remarks = [line for line in lines if line.startswith("remark: ")]
    assert len(remarks) == 3
    assert any("no run card can be read" in line for line in remarks)
    assert any("config.yaml cannot be read" in line for line in remarks)
    assert any("1 lines are not rows of numbers" in line for line in remarks)
    order = [line.split()[0] for line in run("list", tmp_path / "runs", "--sort", "metric").splitlines()[1:5]]
    assert order[0] == "version_1"


@pytest.mark.parametrize("width", [60, 80, 100])
def test_tables_fit_the_terminal(
    run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    for number in range(3):
        write_run(tmp_path / "a_long_name_of_a_folder" / f"version_{number}", rate=1 / (number + 3))
    monkeypatch.setenv("COLUMNS", str(width))
    said = run("list", tmp_path)
    assert max(map(len, said.splitlines())) <= width
    assert "killed" in said
    said = run("compare", tmp_path, "--output", tmp_path / "a.png")
    assert all(len(line) <= width for line in said.splitlines() if not line.startswith("picture"))


def test_only_keys_that_differ_are_compared(run: Callable[..., str], tmp_path: Path) -> None:
    write_run(tmp_path / "one", rate=0.1)
    write_run(tmp_path / "two", rate=0.2)
    picture = tmp_path / "out" / "compare.png"
    said = run("compare", tmp_path / "one", tmp_path / "two", "--output", picture)
    table = said.partition("\nconfig ")[2].partition("\n\n")[0]
    assert [line.split() for line in table.splitlines()[1:]] == [
        ["model.init_args.learning_rate", "0.1", "0.2"]
    ]
    assert re.search(r"val/epe_all +3\.500 \(best 3\) +3\.500 \(best 3\)", said)
    assert re.search(r"val/occlusion_recall +0\.7000 \(best 0\.7500\)", said)
    assert cv2.imread(str(picture)) is not None
    first, second = {"a": {"b": 1, "c": [1]}, "d": {}, "trainer": {"logger": 1}}, {"a": {"b": 1}, "e": None}
    assert differing([first, second]) == {"a.c": ["[1]", "-"], "d": ["{}", "-"], "e": ["-", "null"]}


def test_each_run_has_its_colour_and_nan_is_a_gap() -> None:
    steps = list(range(100))
    whole = [1.0] * 100
    gap = [2.0 if not 40 <= step < 60 else float("nan") for step in steps]
    encoded = np.frombuffer(
        draw_run_curves({"m": {"a": (steps, whole), "b": (steps, gap)}}, ["a", "b"]), np.uint8
    )
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    columns = []
    for colour in COLOURS[:2]:
        rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
        mask = np.abs(picture - rgb).max(axis=2) < 12
        mask[: picture.shape[0] // 8] = False  # the legend
        columns.append(np.flatnonzero(mask.any(axis=0)))
    whole_width, with_gap = (found.max() - found.min() for found in columns)
    assert abs(int(whole_width) - int(with_gap)) < 10
    largest = [int(np.diff(found).max()) for found in columns]
    assert largest[0] < 3
    assert 0.15 * whole_width < largest[1] < 0.3 * whole_width


def test_values_over_decades_and_many_runs_are_drawn() -> None:
    runs = [f"run {number}" for number in range(9)]
    curves = {f"m{n}": {run: ([0, 1, 2], [1.0, 0.1, 0.001]) for run in runs} for n in range(5)}
    picture = cv2.imdecode(np.frombuffer(draw_run_curves(curves, runs, smooth=2), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[0] > 500


def test_names_are_what_tells_runs_apart(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / path) for path in ("a/runs/version_0", "a/runs/version_1", "b/runs/version_0")
    ]
    assert names_of(find_runs([tmp_path])) == ["a/runs/version_0", "a/runs/version_1", "b/runs/version_0"]
    assert names_of([Run(folders[0]), Run(folders[1])]) == ["version_0", "version_1"]
    assert names_of([Run(folders[0])]) == ["runs/version_0"]
    assert len(find_runs([tmp_path, folders[0], tmp_path / "a"])) == 3


def test_a_killed_run_is_shown_with_the_way_on(run: Callable[..., str], tmp_path: Path) -> None:
    folder = write_run(tmp_path / "version_0")
    said = run("show", folder)
    assert re.search(r"status +killed", said)
    assert re.search(r"steps +40 of 40", said)
    assert re.search(r"val/epe_all +3\.5 at step 30", said)
    assert "it saved no checkpoint" in said
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").write_text("weights")
    assert f"--ckpt_path {folder}." in run("show", folder)


def test_mistakes_are_one_line(run: Callable[..., str], tmp_path: Path) -> None:
    folder = write_run(tmp_path / "version_0")
    assert "is not a folder; runs are in folders" in run("list", tmp_path / "nowhere", code=2)
    (tmp_path / "empty").mkdir()
    assert "there is no run in" in run("list", tmp_path / "empty", code=2)
    assert "is one run; give two or more" in run("compare", folder, "--output", tmp_path / "a.png", code=2)
    assert "is not a regular expression" in run("compare", folder, "--metrics", "(", code=2)
    assert "--smooth must be 1 or more" in run("compare", folder, "--smooth", "0", code=2)
    assert "is not a run's folder" in run("show", tmp_path, code=2)


def links(page: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", page)


def test_a_page_links_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my data").mkdir()
    (tmp_path / "my data" / "list a.txt").write_text("1")
    folder = write_run(tmp_path / "runs" / "version_0")
    (folder / "checkpoints").mkdir()
    (folder / "wandb.json").write_text(
        json.dumps({"id": "x1", "project": "p", "url": "https://wandb.example/p/x1"})
    )
    card = stage_card(
        "a step",
        ["flowdistill"],
        now(),
        inputs={"split": Path("my data/list a.txt")},
        outputs={"run": folder},
    )
    write_card(card, folder)
    page = (folder / "run_card.md").read_text()
    found = links(page)
    assert {"config.yaml", "metrics.csv", "checkpoints", "../../my%20data/list%20a.txt"} <= set(found)
    assert "https://wandb.example/p/x1" in found
    for link in found:
        assert link.startswith("https://") or (folder / unquote(link)).exists(), link
    # Missing files are not linked; a page without a folder links nothing.
    (tmp_path / "my data" / "list a.txt").unlink()
    write_card(card, folder)
    page = (folder / "run_card.md").read_text()
    assert "list a.txt" in page
    assert "../../my%20data/list%20a.txt" not in links(page)


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b/commit/"),
        ("https://user:secret@github.com/a/b", "https://github.com/a/b/commit/"),
        ("git@gitlab.example.org:group/sub/b.git", "https://gitlab.example.org/group/sub/b/commit/"),
        ("ssh://git@github.com/a/b.git", "https://github.com/a/b/commit/"),
        ("/mnt/disk/b.git", None),
        ("https://example.org/a/b.git", None),
    ],
)
def test_a_commit_leads_to_its_page(tmp_path: Path, remote: str, page: str | None) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "remote", "add", "origin", remote], check=True)
    code = {"commit": "c0ffee", "dirty": False, "folder": str(tmp_path), "reason": None}
    assert commit_page(code) == (None if page is None else f"{page}c0ffee")  # type: ignore[arg-type]
