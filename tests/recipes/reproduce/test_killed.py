"""A smoke run that is killed repeatedly: nothing finished is redone, nothing unfinished is taken as finished."""

import itertools
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowdistill.data import read_split
from flowdistill.formats import read_kitti_flow
from flowdistill.recipes.commands import last_checkpoint
from flowdistill.tracking import read_card
from flowdistill.training.init_from import read_checkpoint

STAGES = ["pretrain", "labels", "px", "evaluate"]
STEPS = {"pretrain": 200, "px": 100}


def start(output: Path) -> subprocess.Popen[bytes]:
    arguments = ["reproduce-kitti", "--smoke", "--output", str(output), "--stages", *STAGES]
    with (output.parent / "log.txt").open("ab") as log:
        command = [sys.executable, "-m", "flowdistill.cli.flowdistill", *arguments]
        return subprocess.Popen(command, stdout=log, stderr=log)


def step_of(folder: Path) -> int:
    """Of the last checkpoint; 0 without one."""
    last = last_checkpoint(folder)
    return 0 if last is None else int(read_checkpoint(last, "checkpoint")["global_step"])


@pytest.mark.slow
def test_killed_three_times(tmp_path: Path) -> None:
    output = tmp_path / "out"
    rng = random.Random(2)
    # At the last kill: stage -> step of its checkpoint, time of its mark.
    kept: dict[str, tuple[int, float]] = {}
    counts = output / "data" / "kitti2015" / "proxy" / "left" / "counts"
    resumed_at: dict[str, list[int]] = {stage: [] for stage in STEPS}
    for marker in (output / "pretrain" / "version_0", counts, output / "px" / "version_0"):
        recipe = start(output)
        while not marker.exists():
            assert recipe.poll() is None, (tmp_path / "log.txt").read_text()[-2000:]
            time.sleep(0.1)
        time.sleep(rng.uniform(8, 20))
        recipe.send_signal(signal.SIGKILL)
        recipe.wait()
        time.sleep(1)
        for stage in STEPS:
            done = output / stage / "done.json"
            if stage in kept and kept[stage][1]:
                assert done.stat().st_mtime == kept[stage][1], f"{stage} was done and has been redone"
            elif not done.is_file() and (output / stage).is_dir():
                resumed_at[stage].append(step_of(output / stage))
            kept[stage] = (step_of(output / stage), done.stat().st_mtime if done.is_file() else 0)
    recipe = start(output)
    assert recipe.wait() == 0, (tmp_path / "log.txt").read_text()[-2000:]
    for stage, steps in STEPS.items():
        assert step_of(output / stage) == steps
        card = read_card(output / "cards" / stage)
        assert card.status == "completed"
        assert card.training is not None
        parts = card.training["parts"]
        assert parts[0]["first_step"] == 0
        assert parts[-1]["last_step"] == steps
        # Every part starts at the previous part's checkpoint, at a step that was saved before a kill.
        for before, after in itertools.pairwise(parts):
            assert after["first_step"] == before["last_step"]
            assert after["first_step"] in resumed_at[stage]
    assert any(resumed_at["pretrain"]), "the kills came before the first checkpoint: nothing was tested"
    labelled = sorted(path.stem for path in counts.iterdir() if not path.name.startswith("."))
    assert labelled == sorted(entry.id for entry in read_split("data_splits/kitti_multiview.txt"))
    for id_ in labelled:
        flow, valid = read_kitti_flow(counts.parent / "flow" / f"{id_}.png")
        assert flow.shape[:2] == (72, 144)
        assert valid.any()
    table = json.loads((output / "table.json").read_text())
    assert set(table) == {"pretrain", "px"}
