"""Pages of the documentation can be followed: their files are written, and their commands run, in an empty folder."""

import contextlib
import importlib
import io
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "extend").glob("*.md"))
_FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MODULES = {"lightning": "flowdistill.cli.lightning", "flowdistill": "flowdistill.cli.flowdistill"}


def follow(page: str, folder: Path, fit: Sequence[str] = ()) -> None:
    """Do in `folder`, the working directory, what a page tells its reader; `fit` is appended to `lightning fit`."""
    for name, text in _FILE.findall(page):
        (folder / name).write_text(text)
    for block in _COMMANDS.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            name, *words = shlex.split(line)
            if name == "python":
                runpy.run_path(words[0], run_name="__main__")
            else:
                words += fit if words[0] == "fit" else ()
                assert importlib.import_module(_MODULES[name]).main(words) in (0, None), line


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def check_dataset(folder: Path) -> None:
    from flowdistill.data import open_dataset

    sample = open_dataset("drone.DroneDataset", "data", "scan", "flow", labels=True)[0]
    assert sample["flow"].flatten(1).mean(dim=1).tolist() == [3.0, 1.0]
    # The second image at (x + 3, y + 1) is the first at (x, y).
    first, second = sample["left_t0"], sample["left_t1"]
    assert (first[:, :-1, :-3] == second[:, 1:, 3:]).all()
    assert list(folder.glob("runs/version_*/checkpoints/last.ckpt"))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        importlib.import_module(_MODULES["flowdistill"]).main(["data", "tree", "drone.DroneDataset"])
    assert "<root>/pairs/0001_a.png" in printed.getvalue()


def check_loss(folder: Path) -> None:
    import torch

    smoothness = sys.modules["smooth"].smoothness
    image, ramp = torch.zeros(1, 3, 8, 8), torch.arange(8.0).expand(1, 2, 8, 8)
    assert smoothness(image, ramp).item() == pytest.approx(1.0)  # one px per column, none per row, no edges
    text = next(folder.glob("runs/version_*/metrics.csv")).read_text().splitlines()
    column = text[0].split(",").index("weight/smoothness")
    weights = [line.split(",")[column] for line in text[1:]]
    assert [float(weight) for weight in weights if weight] == pytest.approx([0.0, 0.0, 0.05, 0.1])
    assert "train/smoothness" in text[0]


def check_network(folder: Path) -> None:
    assert len(list((folder / "out" / "flow").glob("*.png"))) == 8


CHECKS: dict[str, Callable[[Path], None]] = {
    "dataset": check_dataset,
    "loss": check_loss,
    "network": check_network,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_can_be_followed(page: Path, empty: Path) -> None:
    follow(page.read_text(), empty)
    CHECKS[page.stem](empty)


def test_own_footage_can_be_followed(rendered: Path, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the frames of one camera, with two steps instead of 500."""
    (empty / "frames").mkdir()
    frames = sorted((rendered / "training" / "image_2").glob("*.png"))
    for frame in frames:
        shutil.copy(frame, empty / "frames")
    follow((ROOT / "docs" / "own_footage.md").read_text(), empty, ["--trainer.max_steps", "2"])
    pairs = len(frames) - len({frame.name[:6] for frame in frames})
    assert len(list((empty / "first_flow" / "flow_colour").glob("*.png"))) == pairs
    assert "first_look" in capsys.readouterr().out


def test_the_python_of_the_home_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "index.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert blocks
    exec("\n".join(blocks), {})
    assert "torch.Size([1, 2, 128, 192])" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.Thing", "cannot be imported"),
        ("pathlib.Path", "is not a subclass of flowdistill.data.MotionDataset"),
        ("flowdistill.data.Missing", "is not a subclass"),
    ],
)
def test_a_wrong_import_path_of_a_dataset_is_one_line(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = importlib.import_module(_MODULES["lightning"]).main([
        "fit", "--config", "configs/ddflow/photometric.yaml", "--config", "configs/data/chairs.yaml",
        "--config", "configs/trainer/cpu.yaml", "--data.init_args.dataset", name,
    ])  # fmt: skip
    assert code == 2
    assert message in capsys.readouterr().err
