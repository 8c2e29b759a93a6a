"""Commands used by recipes: render, fit, predict.

Rendering and fitting write a completion marker and are skipped afterwards.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from flowdistill import renamed
from flowdistill.data.shipped import find
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.processes import ENDS_WITH_PARENT
from flowdistill.recipes.side_by_side import current, current_place, end

DATA_CONFIG, TRAINER_CONFIG = "configs/data/rendered.yaml", "configs/trainer/cpu.yaml"
TRAIN_SPLIT, VAL_SPLIT = "data_splits/rendered_train.txt", "data_splits/rendered_val.txt"


def check_folder(recipe: str, files: Sequence[str]) -> None:
    """Raise UserError unless the required files exist, relative to the working directory or shipped."""
    missing = [path for path in (TRAIN_SPLIT, VAL_SPLIT, *files) if not find(path).is_file()]
    if missing:
        raise UserError(
            f"the {recipe} needs {missing[0]}, which is neither here nor part of this flowdistill: reinstall it"
        )


def render(data: Path, options: str) -> None:
    """Run `flowdistill data render` into the folder `data`; an incomplete one, or of other options, is replaced."""
    done = data.parent / f"{data.name}.done"
    if done.is_file() and done.read_text() == options:
        print(f"rendered data exists: {data}")
        return
    done.unlink(missing_ok=True)
    if data.exists():
        shutil.rmtree(data)
    arguments = ["data", "render", "--output", str(data), *shlex.split(options), "--workers", "2"]
    run("flowdistill.cli.flowdistill", arguments)
    write_atomically(done, options.encode())


def fit(
    folder: Path, config: str, data: Path, seed: int, options: Sequence[str] = (), replace: bool = True
) -> Path:
    """Run `train` with a demo's config on rendered data; runs with other settings are replaced by default."""
    arguments = [
        *config_arguments([config, DATA_CONFIG, TRAINER_CONFIG]),
        "--data.init_args.root", str(data),
        "--data.init_args.seed", str(seed),
        "--seed_everything", str(seed),
        *options,
    ]  # fmt: skip
    return train(folder, arguments, replace)


def train(
    folder: Path,
    arguments: Sequence[str],
    replace: bool = False,
    files: Sequence[Path] = (),
    neutral: Collection[str] = (),
) -> Path:
    """Run `lightning fit` with these arguments and its runs in `folder`; return the last checkpoint.

    A finished run is not repeated; an interrupted run resumes from its last checkpoint.

    Args:
        folder: folder of the runs.
        arguments: of `lightning fit`. The content of --config files counts as settings.
        replace: delete and repeat a run with other settings instead of raising an error.
        files: files whose content counts as settings, such as checkpoints in the arguments.
        neutral: options whose values do not count as settings.

    Raises:
        UserError: the settings differ from those of the run in `folder`, or the run failed.
    """
    settings = {
        "arguments": list(_without_values(arguments, neutral)),
        "configs": {path: _content(path) for key, path in itertools.pairwise(arguments) if key == "--config"},
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }
    # Same form as when read back: numeric YAML keys become strings.
    settings = json.loads(json.dumps(settings))
    started = folder / "started.json"
    before = read_json(started)
    if before is not None:
        before["configs"] = {path: renamed.config(text) for path, text in before.get("configs", {}).items()}
    if before != settings and _holds_something(folder):
        # Without a trained checkpoint, nothing is lost.
        trained = last_checkpoint(folder) or finished(folder)
        if not replace and (before is None or trained is not None):
            raise UserError(_changed(folder, before, settings))
        shutil.rmtree(folder)
    elif (checkpoint := finished(folder)) is not None:
        print(f"done before: {folder}")
        return checkpoint
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(started, json.dumps(settings).encode())
    fit_or_resume(folder, arguments)
    last = last_checkpoint(folder)
    if last is None:
        raise UserError(
            f"the run saved no checkpoint in {folder}: its trainer needs the callback Checkpoints"
        )
    mark = {"checkpoint": str(last.relative_to(folder))}
    write_atomically(folder / "done.json", json.dumps(mark).encode())
    return last


def fit_or_resume(folder: Path, arguments: Sequence[str]) -> None:
    """Run `lightning fit` with its runs in `folder`, resuming from the last checkpoint there, if any."""
    logger = [
        "--trainer.logger.init_args.save_dir", str(folder.parent),
        "--trainer.logger.init_args.name", folder.name,
    ]  # fmt: skip
    last = last_checkpoint(folder)
    resume = [] if last is None else ["--ckpt_path", str(last)]
    run("flowdistill.cli.lightning", ["fit", *arguments, *logger, *resume])


def predict(config: str, data: Path, checkpoint: Path, output: Path, options: Sequence[str] = ()) -> None:
    """Run `lightning predict` with a demo's config on rendered data, by default its validation split."""
    run("flowdistill.cli.lightning", [
        "predict", *config_arguments([config, DATA_CONFIG, TRAINER_CONFIG]),
        "--data.init_args.root", str(data),
        "--ckpt_path", str(checkpoint),
        "--trainer.logger", "false",
        "--prediction.output", str(output),
        *options,
    ])  # fmt: skip


def config_arguments(configs: Sequence[str]) -> list[str]:
    """Return --config for each config; later ones take precedence."""
    return [part for file in configs for part in ("--config", file)]


def run(module: str, arguments: Sequence[str], allowed: Collection[int] = (0,)) -> int:
    """Run a console script of flowdistill in a child process, which exits with this one; return its exit code.

    Raises:
        UserError: the exit code is not one of the allowed ones.
    """
    name = module.rpartition(".")[2]
    member = current()
    label = "" if member is None else f"[{member[1]}] "
    print(f"\n{label}$ {name} {shlex.join(arguments)}", flush=True)
    # One thread: frames this small do not benefit from a second one, and threads that wait for each other on a busy
    # machine make a step up to ten times slower.
    environment = {"OMP_NUM_THREADS": "1", **os.environ, **current_place(), ENDS_WITH_PARENT: "1"}
    command = [sys.executable, "-m", "flowdistill.processes", str(os.getpid()), module, *arguments]
    code = (
        _to_its_end(command, environment)
        if member is None
        else member[0].run(member[1], command, environment)
    )
    if code not in allowed:
        raise UserError(f"{label}`{name} {arguments[0]}` ended with code {code}; its message is above")
    return code


def _to_its_end(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command with exclusive use of the terminal. Stopping this process stops it, too: a training saves first."""
    process = subprocess.Popen(command, env=dict(environment))
    try:
        return process.wait()
    except BaseException:  # Ctrl-C, SIGTERM
        end([process])  # a terminal has already sent it Ctrl-C: both count as one request
        raise


def finished(folder: Path) -> Path | None:
    """Return the last checkpoint of a finished training; None if it is not finished."""
    done = read_json(folder / "done.json")
    checkpoint = None if done is None else folder / done["checkpoint"]
    return checkpoint if checkpoint is not None and checkpoint.is_file() else None


def last_checkpoint(folder: Path) -> Path | None:
    """Return last.ckpt of the newest run in `folder` that has one."""
    found = list(folder.glob("version_*/checkpoints/last.ckpt"))
    return max(found, key=lambda path: version(path.parent), default=None)


def version(path: Path) -> int:
    """Return N of a file in version_N."""
    return int(path.parent.name.removeprefix("version_"))


def _content(path: str) -> Any:
    """Return the content of a YAML file; comments do not count."""
    return renamed.config(OmegaConf.to_container(OmegaConf.load(find(path)), resolve=False))


def _without_values(arguments: Sequence[str], neutral: Collection[str]) -> Iterator[str]:
    after_neutral = False
    for word in arguments:
        if not after_neutral:
            yield word
        after_neutral = word in neutral


def _holds_something(folder: Path) -> bool:
    """Whether there is anything except temporary files of a killed process."""
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a file written by a recipe; None if it does not exist.

    Raises:
        UserError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        stored: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); delete it, and run the command again") from error
    return stored


def _changed(folder: Path, before: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """Return the error message for a run that was started with other settings."""
    if before is None:
        return f"{folder} contains something other than a run of this recipe: move it away"
    words = [
        f"{path} has changed"
        for kind in ("configs", "files")
        for path, content in now[kind].items()
        if before.get(kind, {}).get(path, content) != content
    ]
    if before.get("arguments") != now["arguments"]:
        words.append(f"its arguments were\n  {shlex.join(before.get('arguments', []))}\nand are now\n  "
                     f"{shlex.join(now['arguments'])}")  # fmt: skip
    return (
        f"the run in {folder} was started with other settings: {'; '.join(words) or 'other files'}. Move the folder "
        "away to start this stage from scratch, or restore the settings to resume it."
    )
