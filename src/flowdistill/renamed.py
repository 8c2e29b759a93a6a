"""Options whose names changed: the old ones are accepted for one version, in configs, in Python and in checkpoints."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flowdistill.data.notes import note
from flowdistill.errors import UserError

Value = TypeVar("Value")

#: Of DDFlowModule and DwarfModule, old -> new.
MODEL = {
    "decay": "l2_weight",
    "start": "initialization",
    "blind_steps": "max_fully_occluded_steps",
}
#: Of a view's augmentation.
AUGMENTATION = {
    "zoom": "zoom_probability",
    "patches": "erase_probability",
    "colour": "colour_probability",
    "blur": "max_blur_sigma",
    "noise": "max_noise_std",
    "stretch": "max_stretch",
    "relative_shift": "max_relative_shift",
    "relative_rotation": "max_relative_rotation",
}
#: All of them, as options of `lightning`.
OPTIONS = (
    *(f"model.init_args.{name}" for name in MODEL),
    *(f"data.init_args.{view}.{name}" for view in ("flow", "scene_flow") for name in AUGMENTATION),
)
#: Of DwarfModule's `loss`.
LOSSES = {"pretraining": "dense_multilevel", "kitti": "sparse_full_resolution"}

_said: set[str] = set()


def old_or_new(names: Mapping[str, str], old: str, given: Value | None, new: Value, default: Value) -> Value:
    """The value of an option that may have been given by its old name.

    Args:
        names: a table of this module.
        old: the old name.
        given: the value under the old name; None if it was not used.
        new: the value under the new name.
        default: the default of the new name.

    Raises:
        UserError: both were given.
    """
    if given is None:
        return new
    if new != default:
        raise UserError(f"{old} is the old name of {names[old]}: give one of them, not both")
    say_once(f"{old} is now called {names[old]}; the old name goes away with the next version")
    return given


def say_once(text: str) -> None:
    """Print a remark on a name, once per process."""
    if text not in _said:
        _said.add(text)
        note(text)


def loss(name: str) -> str:
    """The present name of a value of DwarfModule's `loss`."""
    if name in LOSSES:
        say_once(f"loss: {name} is now called {LOSSES[name]}; the old name goes away with the next version")
    return LOSSES.get(name, name)


def settings(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The hyper-parameters of a checkpoint under their present names."""
    found = {
        MODEL.get(name, name): value
        for name, value in stored.items()
        if value is not None or name not in MODEL
    }
    if "loss" in found:
        found["loss"] = LOSSES.get(found["loss"], found["loss"])
    return found


def config(content: Any) -> Any:
    """A config of `lightning` under the present names; what is not ours stays."""
    if not isinstance(content, dict):
        return content
    content = dict(content)
    for part in ("model", "data"):
        arguments = content[part].get("init_args") if isinstance(content.get(part), dict) else None
        if not isinstance(arguments, dict):
            continue
        if part == "model":
            arguments = settings(arguments)
        for view in {"flow", "scene_flow"} & set(arguments):
            if isinstance(arguments[view], dict):
                arguments = arguments | {view: switches(arguments[view])}
        content[part] = content[part] | {"init_args": arguments}
    return content


def moved(package: str, names: Mapping[str, tuple[str, str]]) -> Callable[[str], Any]:
    """A module's `__getattr__` for names that it no longer has.

    Args:
        package: the module.
        names: old name -> (module, name) where it is now.
    """

    def getattr_(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, new = names[name]
        say_once(f"{package}.{name} is now {module}.{new}; the old name goes away with the next version")
        return getattr(importlib.import_module(module), new)

    return getattr_


def switches(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The switches of augmentation of a checkpoint under their present names."""
    return {AUGMENTATION.get(name, name): value for name, value in stored.items()}
