"""Parallel jobs: they overlap, their lines are distinguishable, one failure stops all, no process remains."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from flowdistill.errors import UserError
from flowdistill.recipes import side_by_side as module
from flowdistill.recipes.side_by_side import Printer, current, side_by_side, updates

# Writes its own file, then waits for the other's: finishes only if both run in parallel.
MEET = """
import pathlib, sys, time
own, other = map(pathlib.Path, sys.argv[1:])
own.write_text("here")
for _ in range(600):
    if other.exists():
        print("met"); sys.exit(0)
    time.sleep(0.05)
sys.exit("alone")
"""


def execute(code: str, *arguments: str) -> int:
    member = current()
    assert member is not None
    return member[0].run(member[1], [sys.executable, "-c", code, *arguments], os.environ)


def test_two_jobs_overlap_and_their_lines_carry_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    codes = side_by_side({"one": partial(execute, MEET, a, b), "two": partial(execute, MEET, b, a)}, 2)
    assert codes == {"one": 0, "two": 0}
    assert sorted(capsys.readouterr().out.splitlines()) == ["[one] met", "[two] met", "one, two: 2 at a time"]


def test_one_failure_ends_the_other(tmp_path: Path) -> None:
    def fail() -> int:
        while not (tmp_path / "pid").exists():
            time.sleep(0.05)
        raise UserError("it broke")

    wait = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(300)"
    started = time.monotonic()
    with pytest.raises(UserError, match="it broke"):
        side_by_side({"bad": fail, "good": partial(execute, wait, str(tmp_path / "pid"))}, 2)
    assert time.monotonic() - started < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_after_a_failure_nothing_new_begins(tmp_path: Path) -> None:
    def two_commands() -> None:
        execute("import time; time.sleep(300)")
        execute("import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('ran')", str(tmp_path / "late"))

    def fail() -> None:
        time.sleep(0.5)
        raise UserError("it broke")

    with pytest.raises(UserError, match="it broke"):
        side_by_side({"bad": fail, "good": two_commands}, 2)
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize("at_a_time", [1, 2])
def test_results_come_by_name_in_order(at_a_time: int) -> None:
    found = side_by_side({name: partial(str.upper, name) for name in ("c", "a", "b")}, at_a_time)
    assert list(found.items()) == [("c", "C"), ("a", "A"), ("b", "B")]


def test_one_core_keeps_the_terminal_for_each_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 1)
    assert side_by_side({"a": current, "b": current}) == {"a": None, "b": None}


def test_a_job_does_not_start_a_team_of_its_own() -> None:
    def inner() -> list[str]:
        found = side_by_side({"x": current, "y": current}, 2)
        return [member[1] for member in found.values() if member is not None]

    assert side_by_side({"a": inner, "b": inner}, 2) == {"a": ["a", "a"], "b": ["b", "b"]}


def test_a_progress_bar_becomes_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys\nfor k in range(100): sys.stdout.write(f'\\rEpoch 0: {k}%|#  | {k}/100 [00:01, 4.0it/s]\\x1b[A')\n"
        "print('\\nlearned \\u00e9')"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        found = list(updates(process.stdout))
    assert found[0] == ("Epoch 0: 0%|#  | 0/100 [00:01, 4.0it/s]", True)
    assert found[-1] == ("learned é", False)
    assert len(found) == 101
    printer = Printer("net")
    for text, is_bar in found[:-1]:
        printer.show(text, is_bar)
    printer.finish()
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["[net] Epoch 0: 99%|#  | 99/100 [00:01, 4.0it/s]"]


INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from functools import partial
from flowdistill.recipes.side_by_side import current, side_by_side

def sleep():
    team, name = current()
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(300)"
    return team.run(name, [sys.executable, "-c", code], os.environ)

try:
    side_by_side({"a": sleep, "b": sleep}, 2)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_ends_all_and_leaves_no_process() -> None:
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a, b: 2 at a time\n"
        children = [int(process.stdout.readline().split()[1]) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_a_message_behind_a_bar_is_not_left_out() -> None:
    read, write = os.pipe()
    os.write(
        write,
        b"\rEpoch 0:  9%|#| 9/100 [00:01<00:09, 5.33it/s]stopped at step 10, saved\n\rEpoch: 1it [00:01]",
    )
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        assert [is_bar for _, is_bar in updates(stream)] == [False, True]
