"""Read the settings of `labels make` from YAML files, with errors that name the key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowdistill.data.shipped import find
from flowdistill.errors import UserError
from flowdistill.labels.config import LabelConfig


def read_config(paths: Sequence[Path]) -> LabelConfig:
    """Read one or several YAML files, later ones take precedence; interpolations (`${oc.env:NAME}`) are resolved.

    Raises:
        UserError: a file is missing, a key is unknown or a value is wrong.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from flowdistill.labels.config_file import read_config
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "labels.yaml")
        ...     yaml = "{teachers: {matcher: {opencv: {max_disparity: 64}}}, motions: {disparity: [matcher]}}"
        ...     written = path.write_text(yaml)
        ...     config = read_config([path])
        >>> config.teachers["matcher"].opencv.max_disparity, config.motions.disparity
        (64, ['matcher'])
    """
    from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False, parser_mode="omegaconf")
    parser.add_argument("--config", action=ActionConfigFile)
    parser.add_class_arguments(LabelConfig)
    paths = [find(path) for path in paths]
    for path in paths:
        if not path.is_file():
            raise UserError(f"--config: there is no file {path} (looked for from {Path.cwd()}).")
    where = ", ".join(map(str, paths))
    try:
        found = parser.parse_args([word for path in paths for word in ("--config", str(path))])
        values = dict(vars(parser.instantiate(found)))
        del values["config"]
        return LabelConfig(**values)
    except (ArgumentError, ValueError, UserError) as error:
        raise UserError(f"{where}: {_first_cause(error)}") from error


def _first_cause(error: BaseException) -> str:
    """Return the message of the innermost UserError, if any; jsonargparse wraps it in lists of types."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__
    return str(cause if cause is not None else error)
