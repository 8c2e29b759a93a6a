"""Read the schedules in config files without building a network or loading data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from flowdistill import renamed
from flowdistill.data.shipped import expand
from flowdistill.errors import UserError
from flowdistill.losses.schedule import Schedule, as_schedule, first_step_without_loss
from flowdistill.training.ddflow import TAUGHT_BY as DDFLOW_TERMS
from flowdistill.training.ddflow import checked_losses
from flowdistill.training.dwarf import L2_WEIGHT, checked_alphas
from flowdistill.training.optimisers import LearningRate


@dataclass(frozen=True)
class ConfigSchedules:
    """Schedules of a run: every loss weight by name, the learning rate, and the run's length."""

    weights: dict[str, Schedule]
    learning_rate: LearningRate
    steps: int


def read_schedules(configs: Sequence[Path]) -> ConfigSchedules:
    """Return the schedules of several configs, composed as `lightning fit --config` does.

    Without `trainer.max_steps` the run's length is that of the schedules plus 10 %.

    Raises:
        UserError: a file cannot be read, the model is not one of flowdistill's, or a weight is wrong; the message
            names the file or key.
    """
    model: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    trainer: dict[str, Any] = {}
    for path in (file for config in configs for file in expand(config)):
        content = _read(path)
        model |= _part(content, "model", path)
        arguments |= renamed.settings(_part(_part(content, "model", path), "init_args", path))
        trainer |= _part(content, "trainer", path)
    name = str(model.get("class_path", "")).rpartition(".")[2]
    where = ", ".join(map(str, configs))
    if name == "DDFlowModule":
        weights = checked_losses(_part(arguments, "losses", where))
        taught = {term: weight for term, weight in weights.items() if term in DDFLOW_TERMS}
    elif name == "DwarfModule":
        alphas = {_level(level): alpha for level, alpha in _part(arguments, "alphas", where).items()}
        taught = {f"alphas.{level}": alpha for level, alpha in checked_alphas(alphas).items()}
        weights = {**taught, "l2": as_schedule("l2_weight", arguments.get("l2_weight", L2_WEIGHT))}
    else:
        found = model.get("class_path") or "no model.class_path"
        raise UserError(f"{where}: schedules are those of DDFlowModule and DwarfModule, found {found}")
    rate = as_schedule("learning_rate", arguments.get("learning_rate", 1e-4))
    learning_rate = LearningRate(rate, tuple(arguments.get("halve_at") or ()))
    steps = _steps(trainer, weights, learning_rate)
    empty = first_step_without_loss(taught, steps)
    if empty is not None:
        raise UserError(f"{where}: every weight ({', '.join(taught)}) is 0 at step {empty}")
    return ConfigSchedules(weights, learning_rate, steps)


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise UserError(
            f"{path} does not exist or is not a file; give a YAML config such as configs/ddflow/single_run.yaml"
        )
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a YAML config: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a YAML config: it has no keys")
    return {str(key): value for key, value in content.items()}


def _part(content: Mapping[Any, Any], key: str, where: Path | str) -> dict[Any, Any]:
    part = content.get(key) or {}
    if not isinstance(part, dict):
        raise UserError(f"{where}: {key} must hold keys and values, not {part!r}")
    return part


def _level(level: Any) -> int:
    try:
        return int(level)  # in a run's own config.yaml they are strings
    except ValueError as error:
        raise UserError(f"alphas: levels are 2 (finest) to 6, got {level!r}") from error


def _steps(trainer: Mapping[str, Any], weights: Mapping[str, Schedule], rate: LearningRate) -> int:
    stated = trainer.get("max_steps")
    if isinstance(stated, int) and stated > 0:
        return stated
    last = max(step for schedule in weights.values() for step, _ in schedule.knots)
    return max(1, round(1.1 * max([last, *rate.changes_at])))
