"""Options of datasets and their validation: one of several words, an integer, or any text.

In a config options are `options: {name: value}`; datasets get every value as text, whatever its type in YAML.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flowdistill.errors import UserError


@dataclass(frozen=True)
class Number:
    """An integer of at least `least`, or one of `words`."""

    default: str
    least: int = 1
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Text:
    """Any text; `default` if the option is not set."""

    default: str = ""


Option = tuple[str, ...] | Number | Text
"""A tuple lists the allowed values, the first of which is the default."""


def choose_options(
    dataset: str, known: Mapping[str, Option], given: Mapping[str, str | int] | None
) -> dict[str, str]:
    """Return a value for every option of a dataset.

    Args:
        dataset: its name, for messages.
        known: its options.
        given: the options set in the config.

    Raises:
        UserError: for an unknown name, or a value that the option does not allow.
    """
    chosen = {
        name: option[0] if isinstance(option, tuple) else option.default for name, option in known.items()
    }
    for name, value in (given or {}).items():
        if name not in known:
            raise UserError(
                f"options: {dataset} has no option {name!r}; its options: {', '.join(known) or 'none'}."
            )
        chosen[name] = _checked(f"options.{name} of {dataset}", known[name], str(value).strip())
    return chosen


def _checked(place: str, option: Option, value: str) -> str:
    if isinstance(option, Text):
        return value
    if isinstance(option, tuple):
        if value not in option:
            raise UserError(f"{place} must be one of {', '.join(option)}, not {value!r}.")
        return value
    if value in option.words:
        return value
    if not (value.isascii() and value.isdigit() and int(value) >= option.least):
        words = "".join(f", or {word}" for word in option.words)
        raise UserError(f"{place} must be a whole number of {option.least} or more{words}, not {value!r}.")
    return str(int(value))
