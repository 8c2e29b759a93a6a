"""Each dataset's config with each model that its labels allow: one step of `lightning fit`, one validation."""

from pathlib import Path

import pytest

from flowdistill.cli.lightning import main
from flowdistill.render.writer import Request, write_dataset

ROOT = Path(__file__).parents[2]
LAYOUTS = {"kitti": "kitti2015", "kitti2012": "kitti2012"}
# Data config -> splits that fit two rendered scenes; None: those of the config do.
SPLITS: dict[str, tuple[str, str] | None] = {
    "kitti": ("scan", "scan"),
    "kitti2012": ("scan", "scan"),
    "things": None,
    "things_subset": None,
    "chairs": None,
    "sintel": ("scan", "scan"),
}
SCENE_FLOW = ("kitti", "things", "things_subset")
CASES = [("ddflow", data) for data in SPLITS] + [("dwarf", data) for data in SCENE_FLOW]


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    for data in SPLITS:
        request = Request(seed=5, scenes=2, frames=2, size=(64, 128))
        write_dataset(folder / data, LAYOUTS.get(data, data), request)
    return folder


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def command(model: str, data: str, trees: Path, output: Path) -> list[str]:
    config = {"ddflow": "configs/ddflow/photometric.yaml", "dwarf": "configs/dwarf/things.yaml"}[model]
    view = {"ddflow": "flow", "dwarf": "scene_flow"}[model]
    options = {
        "data.init_args.root": trees / data,
        f"data.init_args.{view}.crop": "[64, 128]",
        "data.init_args.num_workers": 0,
        "data.init_args.batch_size": 2,
        "model.init_args.width": 0.125,
        "trainer.max_steps": 1,
        "trainer.val_check_interval": 1,
        "trainer.limit_val_batches": 1,
        "trainer.log_every_n_steps": 1,
        "trainer.enable_progress_bar": "false",
        "trainer.enable_model_summary": "false",
        "trainer.logger.init_args.save_dir": output,
        "trainer.logger.init_args.name": "run",
    }
    if (splits := SPLITS[data]) is not None:
        options |= {
            f"data.init_args.{view}.{key}": word
            for key, word in zip(("train_split", "val_split"), splits, strict=True)
        }
    configs = (config, f"configs/data/{data}.yaml", "configs/trainer/cpu.yaml")
    files = [part for file in configs for part in ("--config", file)]
    return ["fit", *files, *(part for key, value in options.items() for part in (f"--{key}", str(value)))]


@pytest.mark.parametrize(("model", "data"), CASES)
def test_fit_takes_a_step_and_validates(model: str, data: str, trees: Path, tmp_path: Path) -> None:
    assert main(command(model, data, trees, tmp_path)) == 0
    header = (tmp_path / "run" / "version_0" / "metrics.csv").read_text().splitlines()[0].split(",")
    expected = {"train/loss", "val/epe_all", "val/fl_all"}
    if data not in ("things", "chairs"):
        expected |= {"val/epe_noc"}  # the others have occlusion labels
    if model == "dwarf":
        expected |= {"val/d1_all", "val/d2_all", "val/sf_all"}
    assert expected <= set(header)
    assert ("val/epe_noc" in header) == ("val/epe_noc" in expected)


def test_dwarf_does_not_train_on_kitti2012(
    trees: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command("dwarf", "kitti2012", trees, tmp_path)) == 2
    assert "the training data (kitti2012) has no disparity_t1" in capsys.readouterr().err


@pytest.mark.parametrize("data", ["chairs", "sintel"])
def test_dwarf_needs_two_cameras(
    data: str, trees: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = command("dwarf", data, trees, tmp_path)
    keys = [position for position, part in enumerate(fit) if part.startswith("--data.init_args.scene_flow")]
    without = [part for position, part in enumerate(fit) if not {position, position - 1} & set(keys)]
    assert main(without) == 2
    assert "has one camera: use another data config" in capsys.readouterr().err
