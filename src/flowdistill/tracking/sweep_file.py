"""Read a sweep config in W&B's YAML format: which values to draw, and the command line that tries them.

    method: random | grid | bayes
    metric: {name: val/epe_all, goal: minimize}
    parameters:
      model.init_args.losses.census_occlusion.scale: {distribution: log_uniform_values, min: 0.25, max: 4}
    early_terminate: {type: hyperband, min_iter: 3, eta: 3}
    command: ["${env}", lightning, fit, --config, configs/..., "${args}"]

The keys are documented at https://docs.wandb.ai/guides/sweeps/sweep-config-keys. Unsupported keys are an error.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

import yaml

from flowdistill.data.shipped import find
from flowdistill.errors import UserError

Scalar = int | float | str | bool | None
METHODS = ("random", "grid", "bayes")
_KEYS = {
    "method", "metric", "parameters", "early_terminate", "command", "program", "project", "entity", "name",
    "description", "run_cap",
}  # fmt: skip
_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")


@dataclass(frozen=True)
class Choice:
    """One of several values; a constant has one value."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        whole: integers.
        log: uniform in the logarithm.
        step: step size from `low`.
    """

    low: float
    high: float
    whole: bool = False
    log: bool = False
    step: float | None = None


Parameter = Choice | Range


@dataclass(frozen=True)
class Halving:
    """Early stopping: at `first`, `first * factor`, ... metric values, the best of every `factor` runs continue."""

    first: int
    factor: int


@dataclass(frozen=True)
class Sweep:
    """A checked sweep config."""

    path: Path
    method: Literal["random", "grid", "bayes"]
    metric: str
    maximize: bool
    parameters: dict[str, Parameter]
    halving: Halving | None
    command: tuple[str, ...]
    program: str
    run_cap: int | None

    def identity(self) -> dict[str, Any]:
        """Return what determines the trials: a different sweep may not use the same study."""
        parameters = {name: repr(parameter) for name, parameter in sorted(self.parameters.items())}
        return {"metric": self.metric, "maximize": self.maximize, "parameters": parameters}

    def words(self, values: Mapping[str, Scalar]) -> list[str]:
        """Return the command line that tries these values, as built by a W&B agent.

        Raises:
            UserError: it uses an environment variable that is not set.
        """
        flags = [f"--{name}={value}" for name, value in values.items()]
        macros = {
            "${env}": ["/usr/bin/env"], "${interpreter}": ["python"], "${program}": [self.program], "${args}": flags,
        }  # fmt: skip
        words: list[str] = []
        try:
            for word in self.command:
                words += macros.get(word, [_VARIABLE.sub(lambda found: os.environ[found[1]], word)])
        except KeyError as error:
            name = error.args[0]
            raise UserError(
                f"{self.path}: command uses the environment variable {name}, which is not set"
            ) from None
        return words


def read_sweep(path: Path) -> Sweep:
    """Read a sweep from its YAML file.

    Raises:
        UserError: it cannot be read, or has unknown keys or invalid values; the message names the key.
    """
    try:
        content = yaml.safe_load(find(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: no sweep can be read there ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a sweep: it has no keys; configs/sweeps/ has examples")

    def wrong(text: str) -> UserError:
        return UserError(f"{path}: {text}")

    if unknown := sorted(set(map(str, content)) - _KEYS):
        raise wrong(f"unknown keys {', '.join(unknown)}; known: {', '.join(sorted(_KEYS))}")
    method = content.get("method")
    if method not in METHODS:
        raise wrong(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    metric = content.get("metric") or {}
    goal = metric.get("goal", "minimize") if isinstance(metric, dict) else None
    if goal not in ("minimize", "maximize") or not metric.get("name"):
        raise wrong("metric needs a name, such as val/epe_all, and a goal, minimize or maximize")
    found = content.get("parameters")
    if not isinstance(found, dict) or not found:
        raise wrong("parameters is empty: there is nothing to search")
    try:
        parameters = {str(name): _parameter(str(name), value) for name, value in found.items()}
        if method == "grid":
            parameters = {name: _grid(name, parameter) for name, parameter in parameters.items()}
        halving = _halving(content.get("early_terminate"))
        cap = None if content.get("run_cap") is None else int(content["run_cap"])
    except ValueError as error:
        raise wrong(str(error)) from error
    command = content.get("command")
    if not isinstance(command, list) or "${args}" not in command:
        raise wrong(
            "command must be a list of words with ${args}, such as [${env}, lightning, fit, --config, FILE, ${args}]"
        )
    words = tuple(str(word) for word in command)
    macros = ("${env}", "${interpreter}", "${program}", "${args}")
    if other := [
        word for word in words if word.startswith("${") and word not in macros and not _VARIABLE.search(word)
    ]:
        raise wrong(f"command: {other[0]} is not supported; known: {', '.join(macros)}, ${{envvar:NAME}}")
    return Sweep(
        path, method, str(metric["name"]), goal == "maximize", parameters, halving, words,
        str(content.get("program", "")), cap,
    )  # fmt: skip


def runnable(words: Sequence[str]) -> list[str]:
    """Replace `lightning` and `python` in a command by those of the environment in which flowdistill is installed."""
    starts = {"lightning": ["-m", "flowdistill.cli.lightning"], "python": [], "python3": []}
    own = list(words[1:] if words[0] == "/usr/bin/env" else words)
    return [sys.executable, *starts[own[0]], *own[1:]] if own and own[0] in starts else own


def _parameter(name: str, value: Any) -> Parameter:
    if not isinstance(value, dict):
        raise ValueError(
            f"parameters.{name} must hold keys such as value, values, min and max, not {value!r}"
        )
    if "parameters" in value:
        raise ValueError(f"parameters.{name} is nested: write flat keys with dots, {name}.KEY")
    kind = value.get("distribution")

    def only(*known: str) -> None:
        others = ", ".join(str(key) for key in value if key not in (*known, "distribution"))
        if others:
            raise ValueError(f"parameters.{name}: {others} beside {', '.join(known)} is not supported")

    if "value" in value and kind in (None, "constant"):
        only("value")
        return Choice((_scalar(name, value["value"]),))
    if "values" in value and kind in (None, "categorical"):
        only("values")
        if not isinstance(value["values"], list) or not value["values"]:
            raise ValueError(f"parameters.{name}: no value beside values is not supported")
        return Choice(tuple(_scalar(name, each) for each in value["values"]))
    only("min", "max", "q")
    low, high, step = (value.get(key) for key in ("min", "max", "q"))
    if not _number(low) or not _number(high) or not low < high:
        raise ValueError(f"parameters.{name} needs value, values, or min and max with min below max")
    whole = isinstance(low, int) and isinstance(high, int)
    kind = kind or ("int_uniform" if whole else "uniform")
    if kind == "int_uniform" and whole:
        return Range(low, high, whole=True)
    if kind == "uniform":
        return Range(float(low), float(high))
    if kind == "q_uniform":
        size = 1 if step is None else step
        return Range(low, high, whole=whole and isinstance(size, int), step=size)
    if kind == "log_uniform_values" and low > 0:
        return Range(float(low), float(high), log=True)
    if kind == "log_uniform":  # of exponents of e
        return Range(math.exp(low), math.exp(high), log=True)
    raise ValueError(
        f"parameters.{name}: the distribution {kind} from {low} to {high} is not supported; known: constant, "
        "categorical, int_uniform, uniform, q_uniform, log_uniform_values (of positive numbers), log_uniform"
    )


def _scalar(name: str, value: Any) -> Scalar:
    if value is not None and not isinstance(value, int | float | str | bool):
        raise ValueError(f"parameters.{name}: {value!r} is not a single value; write one flat key for each")
    return value


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _grid(name: str, parameter: Parameter) -> Choice:
    """Return the grid points of a parameter."""
    if isinstance(parameter, Choice):
        return parameter
    step = parameter.step if parameter.step is not None else 1 if parameter.whole else None
    if step is None:
        raise ValueError(f"parameters.{name}: a grid needs values, or q_uniform or int_uniform")
    count = math.floor((parameter.high - parameter.low) / step + 1e-9) + 1
    return Choice(tuple(parameter.low + number * step for number in range(count)))


def _halving(found: Any) -> Halving | None:
    if found is None:
        return None
    known = {"type", "min_iter", "max_iter", "eta", "s", "strict"}
    if not isinstance(found, dict) or found.get("type") != "hyperband" or set(found) - known:
        raise ValueError(
            f"early_terminate must be type: hyperband with min_iter, or max_iter and s, and eta; got {found!r}"
        )
    factor = int(found.get("eta", 3))
    if "min_iter" in found:
        first = int(found["min_iter"])
    elif "max_iter" in found:
        first = int(found["max_iter"]) // factor ** int(found.get("s", 1))
    else:
        raise ValueError("early_terminate needs min_iter, or max_iter and s")
    if first < 1 or factor < 2:
        raise ValueError(
            "early_terminate: the first stop must be after 1 value or more, and eta must be 2 or more"
        )
    return Halving(first, factor)
