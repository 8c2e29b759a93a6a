"""Loss schedules through the commands: from YAML and from dotted keys, rejected with a short message, plotted."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from flowdistill.cli.flowdistill import main as flowdistill
from flowdistill.cli.lightning import main as lightning

ROOT = Path(__file__).parents[2]
LOSSES, ALPHAS = "--model.init_args.losses", "--model.init_args.alphas"


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("DATA_ROOT", raising=False)


def arguments(model: str, rendered: Path, tmp_path: Path, *more: str) -> list[str]:
    view = {"ddflow": "flow", "dwarf": "scene_flow"}[model]
    configs = (f"configs/demo/{model}.yaml", "configs/data/rendered.yaml", "configs/trainer/cpu.yaml")
    return [
        "fit", *(part for config in configs for part in ("--config", config)),
        "--data.init_args.root", str(rendered), "--data.init_args.num_workers", "0",
        f"--data.init_args.{view}.train_split", str(rendered / "train.txt"),
        f"--data.init_args.{view}.val_split", str(rendered / "val.txt"),
        "--model.init_args.width", "0.125", "--trainer.enable_progress_bar", "false",
        "--trainer.enable_model_summary", "false", "--trainer.limit_val_batches", "0",
        "--trainer.log_every_n_steps", "1", "--trainer.max_steps", "3",
        "--trainer.logger.init_args.save_dir", str(tmp_path), *more,
    ]  # fmt: skip


def logged(tmp_path: Path, name: str) -> list[float]:
    with (tmp_path / "runs" / "version_0" / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def test_nested_keys_of_yaml_and_command_line_meet(rendered: Path, tmp_path: Path) -> None:
    """A YAML file sets one schedule; dotted keys set another and change the first, as in a sweep."""
    config = tmp_path / "weights.yaml"
    config.write_text(
        "model:\n  init_args:\n    learning_rate: {knots: [[0, 1e-4], [2, 3e-4]]}\n    losses:\n"
        "      abs_robust_mean_no_occlusion: {knots: [[0, 1.0], [2, 0.0]], between: step}\n      l2: 0.5\n"
    )
    more = ["--config", str(config), f"{LOSSES}.census_no_occlusion.knots=[[0,0],[4,1]]",
            f"{LOSSES}.abs_robust_mean_no_occlusion.knots", "[[0, 1], [4, 3]]",
            f"{LOSSES}.abs_robust_mean_no_occlusion.between=linear", f"{LOSSES}.l2=0.25"]  # fmt: skip
    assert lightning(arguments("ddflow", rendered, tmp_path, *more)) == 0
    assert logged(tmp_path, "weight/census_no_occlusion") == [0.0, 0.25, 0.5]
    assert logged(tmp_path, "weight/abs_robust_mean_no_occlusion") == [1.0, 1.5, 2.0]
    assert logged(tmp_path, "lr-Adam") == pytest.approx([1e-4, 2e-4, 3e-4])
    with pytest.raises(FileNotFoundError):
        (tmp_path / "runs" / "version_1").stat()
    checkpoint = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    stored = torch.load(checkpoint, weights_only=True)["hyper_parameters"]["losses"]
    assert stored == {
        "abs_robust_mean_no_occlusion": {"knots": [[0, 1.0], [4, 3.0]], "between": "linear"},
        "census_no_occlusion": {"knots": [[0, 0.0], [4, 1.0]], "between": "linear"},
        "l2": 0.25,
    }


def test_levels_of_dwarf_take_dotted_keys(rendered: Path, tmp_path: Path) -> None:
    more = [f"{ALPHAS}.6.knots", "[[0, 0.32], [4, 0.0]]", f"{ALPHAS}.5", "0.04",
            "--model.init_args.l2_weight.knots", "[[0, 1e-5], [2, 0]]"]  # fmt: skip
    assert lightning(arguments("dwarf", rendered, tmp_path, *more)) == 0
    assert logged(tmp_path, "weight/alphas.6") == pytest.approx([0.32, 0.24, 0.16])
    assert logged(tmp_path, "weight/l2") == pytest.approx([1e-5, 0.5e-5, 0])
    stored = torch.load(tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)[
        "hyper_parameters"
    ]["alphas"]
    assert stored == {2: 0.005, 3: 0.01, 4: 0.02, 5: 0.04,
                      6: {"knots": [[0, 0.32], [4, 0.0]], "between": "linear"}}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "option", "value", "named"),
    [
        ("ddflow", f"{LOSSES}.census", "1", "losses.census: unknown term 'census'; known: abs_robust_mean_no"),
        ("ddflow", f"{LOSSES}.l2", "-1", "losses.l2 must be 0 or more and finite, got -1"),
        ("ddflow", f"{LOSSES}.l2", ".nan", "losses.l2 must be 0 or more and finite, got nan"),
        ("ddflow", f"{LOSSES}.l2.knots", "[[9, 1], [3, 2]]", "losses.l2.knots[1]: steps must increase, but 3"),
        ("ddflow", f"{LOSSES}.l2.knots", "[[0, 1], [3, -2]]", "losses.l2.knots[1] must be 0 or more"),
        ("ddflow", f"{LOSSES}.l2.knots", "[]", "losses.l2: a schedule needs at least one knot"),
        ("ddflow", f"{LOSSES}.l2", "{knots: [[0, 1]], between: cubic}", "cubic"),
        ("ddflow", f"{LOSSES}.l2.knots", "[[0.5, 1]]", "Expected a <class 'int'>"),
        ("ddflow", LOSSES, "{l2: 1.0}", "nothing to train on"),
        ("ddflow", f"{LOSSES}.distillation", "1", "losses.distillation needs a teacher"),
        ("ddflow", f"{LOSSES}.abs_robust_mean_no_occlusion.knots", "[[0, 1], [2, 0]]", "is 0 at step 2"),
        ("ddflow", "--model.init_args.max_fully_occluded_steps", "0", "max_fully_occluded_steps must be 1 or more"),
        ("ddflow", "--model.init_args.learning_rate.knots", "[[0, -1]]", "learning_rate.knots[0] must be 0 or"),
        ("ddflow", "--model.init_args.teacher", "Teatcher", "Teatcher"),
        ("dwarf", f"{ALPHAS}.2.knots", "[[9, 1], [9, 2]]", "alphas.2.knots[1]: steps must increase"),
        ("dwarf", f"{ALPHAS}.7", "1", "alphas: levels are 2 (finest) to 6"),
        ("dwarf", "--model.init_args.l2_weight", ".inf", "l2_weight must be 0 or more and finite, got inf"),
    ],
)  # fmt: skip
def test_wrong_schedules_end_with_code_2_and_the_key(
    model: str, option: str, value: str, named: str, capsys: pytest.CaptureFixture[str],
    rendered: Path, tmp_path: Path,
) -> None:  # fmt: skip
    try:
        code = lightning(arguments(model, rendered, tmp_path, option, value))
    except SystemExit as stop:
        code = int(stop.code or 0)
    error = capsys.readouterr().err
    assert code == 2
    message = error[error.index("error:") :]
    assert named in message
    assert "Traceback" not in error
    assert len(message.splitlines()) <= 16


def panels(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture


def test_plot_prints_knots_and_draws_every_weight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "new" / "plot.png"
    assert flowdistill(["schedule", "plot", "configs/ddflow/single_run.yaml", "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in printed.splitlines()}
    assert lines["census_occlusion"] == ["step", "0:", "0", "100000:", "1"]
    assert lines["distillation"] == ["step", "0:", "0", "400000:", "1"]
    assert lines["learning_rate"][:7] == ["step", "0:", "0.0001", "80000:", "5e-05", "100000:", "0.0001"]
    assert lines["steps"] == ["700000"]
    picture = panels(output)
    # The line of the first panel alone is as wide as the picture, except for its margins.
    blue = (np.abs(picture.astype(int) - [0x86, 0x5E, 0x1B]).sum(axis=2) < 60).any(axis=0)
    assert blue.mean() > 0.85
    constants = tmp_path / "things.png"
    things = ["configs/dwarf/things.yaml", "configs/data/kitti.yaml"]
    assert flowdistill(["schedule", "plot", *things, "--output", str(constants)]) == 0
    printed = capsys.readouterr().out
    assert "alphas.6       constant  0.32" in printed
    assert "800000: 1.25e-05" in printed
    assert panels(constants).shape[0] > picture.shape[0]  # seven panels, four


def test_plot_composes_configs_and_has_a_default_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(
        "model:\n  init_args:\n    losses: {census_no_occlusion: {knots: [[0, 1], [50, 2]]}, l2: 1e-1}\n"
        "trainer: {max_steps: null}\n"
    )
    first = str(ROOT / "configs/ddflow/photometric.yaml")
    monkeypatch.chdir(tmp_path)
    assert flowdistill(["schedule", "plot", first, str(config)]) == 0
    printed = capsys.readouterr().out
    assert "abs_robust" not in printed  # the second file's losses replace the first's, as in `lightning fit`
    assert "census_no_occlusion  linear    0: 1  50: 2" in printed
    assert "steps                88000" in printed  # the last halving, and a tenth more
    assert panels(tmp_path / "photometric_schedule.png").std() > 10


@pytest.mark.parametrize(
    ("text", "named"),
    [("model: {class_path: DDFlowModule, init_args: {losses: {l2: {knots: [[2, 1], [1, 1]]}}}}", "losses.l2.knots[1]"),
     ("model: {class_path: DDFlowModule, init_args: {losses: [1]}}", "losses must hold keys and values"),
     ("model: {class_path: DwarfModule, init_args: {alphas: {two: 1}}}", "levels are 2 (finest) to 6, got 'two'"),
     ("model: {class_path: other.Module}", "found other.Module"),
     ("trainer: {max_steps: 3}", "found no model.class_path"),
     ("model: [", "is not a YAML config"), ("- 3", "is not a YAML config"),
     ("model: {class_path: DDFlowModule, init_args: {losses: {census_occlusion: {knots: [[0, 1], [5, 0]]}}}}",
      "is 0 at step 5")],
)  # fmt: skip
def test_plot_says_what_is_wrong_with_a_config(
    text: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, output = tmp_path / "wrong.yaml", tmp_path / "plot.png"
    config.write_text(text)
    assert flowdistill(["schedule", "plot", str(config), "--output", str(output)]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert "Traceback" not in error
    assert not output.exists()


def test_plot_needs_files_that_are_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert flowdistill(["schedule", "plot", "configs/none.yaml"]) == 2
    assert "configs/none.yaml does not exist" in capsys.readouterr().err
    assert flowdistill(["schedule", "plot", "configs/ddflow/census.yaml", "--output", str(tmp_path)]) == 2
    assert "--output" in capsys.readouterr().err
