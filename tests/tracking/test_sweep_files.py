"""Sweep files: the command lines equal those of W&B's agent, and every point is a config that trains."""

import os
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from hypothesis import given
from hypothesis import strategies as st
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from flowdistill.cli.flow_cli import FlowCLI, SaveFitConfig, ShortErrorParser
from flowdistill.cli.flowdistill import main as flowdistill
from flowdistill.cli.lightning import main as lightning
from flowdistill.errors import UserError
from flowdistill.losses import Schedule
from flowdistill.losses.schedule import as_schedule, first_step_without_loss, plain_weights
from flowdistill.tracking.sweep_file import Choice, Halving, Range, read_sweep
from flowdistill.tracking.sweep_study import draw
from flowdistill.training.ddflow import TAUGHT_BY, checked_losses
from flowdistill.training.dwarf import checked_alphas

REPOSITORY = Path(__file__).parents[2]
SWEEPS = sorted((REPOSITORY / "configs" / "sweeps").glob("*.yaml"))
NAMES = [path.stem for path in SWEEPS]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv("DATA_ROOT", "/data")


class ParseOnly(FlowCLI):
    """Makes no objects: those of a GPU cannot be made here."""

    def instantiate_classes(self) -> None:
        pass

    def _run_subcommand(self, subcommand: str) -> None:
        pass


def agent_words(path: Path, values: dict[str, Any]) -> list[str]:
    """The command line as built by W&B's own agent."""
    import yaml

    content = yaml.safe_load(path.read_text())
    macros: dict[str, Any] = create_sweep_command_args(
        {"args": {key: {"value": v} for key, v in values.items()}}
    )
    macros |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [content.get("program")]}
    words: list[str] = []
    for word in map(str, create_sweep_command(content["command"])):
        words += macros.get(word[2:-1]) or [] if word.startswith("${") and word.endswith("}") else [word]
    return words


def check_points(path: Path, count: int) -> None:
    sweep = read_sweep(path)
    points = draw(sweep, count)
    assert len({str(point) for point in points}) == count
    parser: Any = None
    for point in points:
        words = agent_words(path, point)
        assert words == sweep.words(point)
        assert words[:3] == ["/usr/bin/env", "lightning", "fit"]
        if parser is None:
            parser = ParseOnly(
                pl.LightningModule, pl.LightningDataModule, parser_class=ShortErrorParser, subclass_mode_model=True,
                subclass_mode_data=True, seed_everything_default=0, auto_configure_optimizers=False,
                parser_kwargs={"parser_mode": "omegaconf"}, save_config_callback=SaveFitConfig, args=words[2:],
            ).parser  # fmt: skip
        config = parser.parse_args(words[2:]).fit
        model, steps = config.model.init_args.as_dict(), config.trainer.max_steps
        as_schedule("learning_rate", plain_or(model["learning_rate"]))
        if "losses" in model:
            weights = checked_losses({name: plain_or(value) for name, value in model["losses"].items()})
            taught: dict[Any, Schedule] = {
                name: value for name, value in weights.items() if name in TAUGHT_BY
            }
        else:
            taught = dict(
                checked_alphas({int(name): plain_or(value) for name, value in model["alphas"].items()})
            )
        assert first_step_without_loss(taught, steps) is None
        for name, value in point.items():
            if name.endswith(".delay"):  # it was set where intended
                assert str(value) in str(model)


def plain_or(value: Any) -> Any:
    return value if isinstance(value, int | float) else as_schedule("a", dict(value))


@pytest.mark.parametrize("path", SWEEPS, ids=NAMES)
def test_points_are_configs_as_the_agent_passes_them(path: Path) -> None:
    check_points(path, 10)


@pytest.mark.slow
@pytest.mark.parametrize("path", SWEEPS, ids=NAMES)
def test_200_points_are_configs_as_the_agent_passes_them(path: Path) -> None:
    check_points(path, 200)


def test_three_points_train_two_in_one_folder(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    overlay = tmp_path / "small.yaml"
    places = {"ddflow_loss_schedule": ["a", "a"], "dwarf_loss_schedule": ["b"]}
    for name, folders in places.items():
        sweep = read_sweep(REPOSITORY / "configs" / "sweeps" / f"{name}.yaml")
        for folder, point in zip(folders, draw(sweep, len(folders), seed=1), strict=True):
            overlay.write_text(
                "data: {init_args: {options: null, flow: {crop: null}, scene_flow: {preset: null, pad_to: null}}}\n"
            )
            small = [
                "--config", "configs/data/rendered.yaml", "--config", "configs/trainer/cpu.yaml",
                "--config", str(overlay),
                "--data.init_args.root", str(rendered), "--data.init_args.num_workers", "0",
                "--data.init_args.batch_size", "2", "--model.init_args.width", "0.125",
                *(f"--data.init_args.{view}.{use}_split={rendered / use}.txt" for view in ("flow", "scene_flow")
                  for use in ("train", "val")),
                "--trainer.max_steps", "3", "--trainer.val_check_interval", "2",
                "--trainer.enable_progress_bar", "false",
                "--trainer.logger.init_args.save_dir", str(tmp_path / folder),
            ]  # fmt: skip
            if name.startswith("ddflow"):
                small += ["--model.init_args.student_crop", "[64, 96]"]
            assert lightning([*sweep.words(point)[2:], *small]) == 0
    assert sorted(path.name for path in (tmp_path / "a" / "runs").iterdir()) == ["version_0", "version_1"]
    for run in (*(tmp_path / "a" / "runs").iterdir(), tmp_path / "b" / "runs" / "version_0"):
        assert (run / "config.yaml").is_file()
        assert (run / "checkpoints" / "last.ckpt").is_file()


@given(
    st.dictionaries(st.integers(0, 10**6), st.floats(0, 1e3), min_size=1, max_size=6),
    st.integers(0, 10**6), st.floats(1e-4, 1e3), st.floats(1e-3, 1e3),
)  # fmt: skip
def test_a_schedule_that_is_moved_is_a_schedule(
    values: dict[int, float], delay: int, stretch: float, scale: float
) -> None:
    knots = sorted(values.items())
    moved = as_schedule("a", Schedule(knots, "step", delay, stretch, scale))
    steps = [step for step, _ in moved.knots]
    assert steps == sorted(set(steps))
    assert [value for _, value in moved.knots] == pytest.approx([scale * value for _, value in knots])
    for (step, _), (before, _) in zip(moved.knots, knots, strict=True):
        assert step >= delay
        assert step == pytest.approx(delay + stretch * before, abs=len(knots))
    assert as_schedule("a", plain_weights(moved)) == moved


def test_delay_stretch_and_scale_by_hand() -> None:
    curve = Schedule([(0, 1.0), (10, 3.0)], delay=5, stretch=2.0, scale=0.5)
    assert [as_schedule("a", curve).at(step) for step in (0, 5, 15, 25, 99)] == [0.5, 0.5, 1.0, 1.5, 1.5]
    assert as_schedule("a", {"knots": [[0, 1.0]], "delay": 3}).knots == [(3, 1.0)]
    with pytest.raises(UserError, match=r"a\.stretch must be positive"):
        as_schedule("a", Schedule([(0, 1.0)], stretch=0.0))
    with pytest.raises(UserError, match="a: a schedule has no stretsch"):
        as_schedule("a", {"knots": [[0, 1.0]], "stretsch": 2})


SAME = "metric: {name: m}\ncommand: [lightning, '${args}']\n"


def test_parameters_are_read_as_they_are_meant(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "method: random\nearly_terminate: {type: hyperband, max_iter: 27, s: 2}\n" + SAME + "parameters:\n"
        "  a: {value: 3}\n  b: {values: [1, two, null, true]}\n  c: {min: 1, max: 4}\n  d: {min: 1.0, max: 4}\n"
        "  e: {distribution: q_uniform, min: 0, max: 1, q: 0.25}\n"
        "  f: {distribution: log_uniform_values, min: 0.1, max: 10}\n"
        "  g: {distribution: log_uniform, min: -1, max: 1}\n"
    )
    sweep = read_sweep(path)
    assert sweep.halving == Halving(3, 3)
    found = sweep.parameters
    assert (found["a"], found["b"]) == (Choice((3,)), Choice((1, "two", None, True)))
    assert found["c"] == Range(1, 4, whole=True)
    assert found["d"] == Range(1.0, 4.0)
    assert found["e"] == Range(0, 1, step=0.25)
    assert found["f"] == Range(0.1, 10.0, log=True)
    points = draw(sweep, 300)
    assert {point["c"] for point in points} == {1, 2, 3, 4}
    assert {point["e"] for point in points} == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert {point["b"] for point in points} == {1, "two", None}
    assert all(1.0 <= point["d"] <= 4 for point in points)
    # Half of the log-uniform draws are below the geometric mean.
    assert 110 < sum(point["f"] < 1 for point in points) < 190
    assert all(point["a"] == 3 for point in points)
    assert draw(sweep, 5) == points[:5]
    assert draw(sweep, 5, seed=1) != points[:5]


def test_a_grid_is_every_point_once(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "method: grid\n" + SAME + "parameters:\n  a: {values: [x, y]}\n  b: {min: 1, max: 3}\n"
        "  c: {distribution: q_uniform, min: 0, max: 1, q: 0.5}\n"
    )
    points = draw(read_sweep(path), 1000)
    assert len(points) == len({str(point) for point in points}) == 2 * 3 * 3


WRONG = {
    "method: hill\n" + SAME + "parameters: {a: {value: 1}}": "method must be one of random, grid, bayes, not 'hill'",
    "method: random\ncommand: [lightning, '${args}']\nparameters: {a: {value: 1}}": "metric needs a name",
    "method: random\n" + SAME + "parameters: {}": "parameters is empty",
    "method: random\n" + SAME + "parameters: {a: 1}": "parameters.a must hold keys",
    "method: random\n" + SAME + "parameters: {a: {min: 2, max: 1}}": "parameters.a needs value, values",
    "method: random\n" + SAME + "parameters: {a: {parameters: {b: {value: 1}}}}": "parameters.a is nested",
    "method: random\n" + SAME + "parameters: {a: {distribution: normal, min: 1, max: 2}}": "the distribution normal",
    "method: random\n" + SAME + "parameters: {a: {values: [[1, 2]]}}": r"parameters.a: \[1, 2\] is not a single value",
    "method: grid\n" + SAME + "parameters: {a: {min: 0.5, max: 2.0}}": "parameters.a: a grid needs values",
    "method: random\n" + SAME + "parametres: {a: {value: 1}}": "unknown keys parametres",
    "method: random\nmetric: {name: m}\ncommand: [lightning]\nparameters: {a: {value: 1}}": "command must be a list",
    "method: random\nmetric: {name: m}\ncommand: ['${args_json}', '${args}']\nparameters: {a: {value: 1}}":
        r"command: \$\{args_json\} is not supported",
    "method: random\n" + SAME + "parameters: {a: {value: 1}}\nearly_terminate: {type: median}": "must be type: hyper",
    "method: random\n" + SAME + "parameters: {a: {value: 1}}\nearly_terminate: {type: hyperband}": "needs min_iter",
    "just words": "is not a sweep",
    "a: [": "no sweep can be read there",
}  # fmt: skip


@pytest.mark.parametrize("content", WRONG)
def test_what_is_not_known_is_refused_by_name(content: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=WRONG[content]):
        read_sweep(path)


def test_commands_are_printed_and_none_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "sweep",
        "commands",
        "configs/sweeps/ddflow_loss_schedule.yaml",
        "--count",
        "3",
        "--trainer.max_steps",
        "7",
    ]
    assert flowdistill(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(
        line.startswith("/usr/bin/env lightning fit --config configs/ddflow/short_run.yaml") for line in lines
    )
    assert all(line.endswith(" --trainer.max_steps 7") for line in lines)


def test_wandb_needs_a_key_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", "/nowhere")
    assert flowdistill(["sweep", "wandb", "configs/sweeps/ddflow_loss_schedule.yaml"]) == 2
    assert "no API key on this machine" in capsys.readouterr().err
    monkeypatch.delenv("DATA_ROOT")
    assert flowdistill(["sweep", "wandb", "configs/sweeps/ddflow_loss_schedule.yaml"]) == 2
    assert "the environment variable DATA_ROOT, which is not set" in capsys.readouterr().err
