"""Cards are read back as written, pages are readable, and cards of other steps hash their files."""

import hashlib
import json
import math
import shlex
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from flowdistill.errors import UserError
from flowdistill.tracking import RunCard, folder_record, now, read_card, stage_card, write_card
from flowdistill.tracking.environment import peak_memory, versions
from flowdistill.tracking.markdown import to_markdown
from flowdistill.tracking.units import number, seconds, size


@pytest.fixture
def card(tmp_path: Path) -> RunCard:
    (tmp_path / "in.txt").write_text("input")
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "a b.txt").write_text("first")
    (tmp_path / "out" / "deep" / "c.txt").write_text("second")
    return stage_card(
        "labels of kitti",
        ["flowdistill", "labels", "make", "--config", "a b.yaml", "--root", "x|y", "--workers", "2"],
        now() - timedelta(minutes=3, seconds=5),
        metrics={"flow/density": 0.876543, "flow/Fl": math.nan, "samples": 4000},
        inputs={"split": tmp_path / "in.txt"},
        outputs={"labels": tmp_path / "out"},
        config={"alphas": {2: (0.005, 1)}, "path": Path("a/b"), "unset": None},
        seeds={"data": 3},
    )


def test_a_card_is_read_back_equal(card: RunCard, tmp_path: Path) -> None:
    path = write_card(card, tmp_path)
    assert read_card(tmp_path) == card == read_card(path)
    assert card.metrics["flow/Fl"] == "nan"
    assert math.isnan(float(card.metrics["flow/Fl"]))
    assert card.config == {"alphas": {"2": [0.005, 1]}, "path": "a/b", "unset": None}
    # Strict JSON, which has no NaN.
    json.loads(path.read_text(), parse_constant=pytest.fail)
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == [
        "in.txt", "run_card.json", "run_card.md",
    ]  # fmt: skip


def test_inputs_and_outputs_are_hashed(card: RunCard, tmp_path: Path) -> None:
    assert card.inputs["split"]["sha256"] == hashlib.sha256(b"input").hexdigest()
    lines = [
        f"{hashlib.sha256(b'first').hexdigest()}  a b.txt\n",
        f"{hashlib.sha256(b'second').hexdigest()}  deep/c.txt\n",
    ]
    assert card.outputs["labels"] == {
        "path": str(tmp_path / "out"), "files": 2, "bytes": 11,
        "sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
    }  # fmt: skip
    with pytest.raises(UserError, match=r"run card: labels is given as .*gone, which does not exist"):
        stage_card("x", "y", now(), outputs={"labels": tmp_path / "gone"})


def test_a_folders_hash_is_that_of_the_command_in_its_docstring(tmp_path: Path) -> None:
    for name in ("b.txt", "a b.txt", "a/z.txt", "a.txt", "B.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    command = "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
    shell = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert folder_record(tmp_path)["sha256"] == shell.stdout.split()[0]


def test_the_page_of_a_step(card: RunCard, tmp_path: Path) -> None:
    page = to_markdown(card)
    assert page.startswith("# Run card: labels of kitti\n")
    # Read back, its tables are the card's numbers, inputs and outputs.
    cells = {
        key.strip(" `"): value
        for line in page.splitlines()
        if line.startswith("| ") and line.count("|") >= 3
        for key, value in [line.removeprefix("| ").split("|", 1)]
    }
    for name, value in card.metrics.items():
        assert float(cells[name].split("|")[0].replace(",", "")) == pytest.approx(
            float(value), rel=1e-3, nan_ok=True
        )
    for record in (card.inputs["split"], card.outputs["labels"]):
        assert any(record["sha256"] in line for line in page.splitlines())
    assert "3 min 05 s" in page
    # The command is equivalent in a shell, although it is split over several lines.
    block = page.partition("```sh\n")[2].partition("\n```")[0]
    assert len(block.splitlines()) == 4
    assert shlex.split(block.replace("\\\n", "")) == shlex.split(card.command)
    # Every row of a table has as many cells as its header.
    for table in page.split("\n\n"):
        if table.startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no run card can be read"),
        ("{", "no run card can be read"),
        ("[]", "is not a run card"),
        ('{"format": 99}', "of format 99"),
        ('{"format": 1, "name": "x"}', "lacks .*command"),
    ],
)
def test_what_is_no_card_is_named(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run_card.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        read_card(path)
    assert str(path) in str(raised.value)


def test_an_unknown_key_is_named(card: RunCard, tmp_path: Path) -> None:
    path = write_card(card, tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "red"}))
    with pytest.raises(UserError, match="unknown keys: colour"):
        read_card(path)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3.91518, "3.915"), (0.0, "0"), (12345.678, "12,346"), (1.0e-5, "1.000e-05"), (78.3, "78.30"),
        (0.25, "0.2500"), ("inf", "inf"), (1200, "1,200"),
    ],
)  # fmt: skip
def test_numbers_have_four_digits(value: float | str, expected: str) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0456, "45.6 ms"), (0.167, "167 ms"), (0.9999, "1.00 s"), (12.34, "12.3 s"), (59.97, "1 min 00 s"),
        (245, "4 min 05 s"), (3599.7, "1 h 00 min"), (7620, "2 h 07 min"), (1234 * 3600, "1,234 h 00 min"),
    ],
)  # fmt: skip
def test_durations_read_well(value: float, expected: str) -> None:
    assert seconds(value) == expected


def test_sizes() -> None:
    assert [size(n) for n in (999, 1_560_557, 78_500_000, 2_000_000_000)] == [
        "999 bytes", "1.6 MB", "78.5 MB", "2.0 GB",
    ]  # fmt: skip


def test_versions_are_those_of_the_modules() -> None:
    import cv2
    import numpy as np
    import torch

    found = versions()
    assert (found["torch"], found["numpy"]) == (torch.__version__, np.__version__)
    assert str(found["opencv"]).startswith(cv2.__version__)
    assert None not in found.values()


def test_the_peak_of_memory_grows_with_use() -> None:
    before = peak_memory()["process"]
    assert before is not None
    block = bytearray(300_000_000)
    block[::4096] = b"x" * len(block[::4096])  # touch every page
    after = peak_memory()["process"]
    assert after is not None
    assert after >= 300_000_000
    assert after >= before
