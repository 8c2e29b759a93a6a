"""The commands that recipes are made of: render, fit, predict.

Rendering and fitting leave a mark when they are done, and are not done again.
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
from flowdistill.recipes.side_by_side import GRACE, current

DATA_CONFIG, TRAINER_CONFIG = "configs/data/rendered.yaml", "configs/trainer/cpu.yaml"
TRAIN_SPLIT, VAL_SPLIT = "data_splits/rendered_train.txt", "data_splits/rendered_val.txt"


def check_folder(recipe: str, files: Sequence[str]) -> None:
    """Raises UserError unless the repository's files are here, as seen from the current folder."""
    missing = [path for path in (TRAIN_SPLIT, VAL_SPLIT, *files) if not find(path).is_file()]
    if missing:
        raise UserError(
            f"the {recipe} needs {missing[0]}, which is neither here nor part of this flowdistill: install it anew"
        )


def render(data: Path, options: str) -> None:
    """`flowdistill data render` into the folder `data`, made anew if it was broken off or had other options."""
    done = data.parent / f"{data.name}.done"
    if done.is_file() and done.read_text() == options:
        print(f"rendered data is there: {data}")
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
    """As `train`, of a demo's config on rendered data; runs of other settings are replaced by default."""
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
    """`lightning fit` with these arguments; runs lie in `folder`; returns the last checkpoint.

    A run that is done is not repeated; one that was broken off goes on from its last checkpoint.

    Args:
        folder: of the runs.
        arguments: of `lightning fit`. What the --config files among them say counts as settings.
        replace: a run with other settings is deleted and made anew; else it is an error.
        files: whose contents count as settings, such as checkpoints that the arguments name.
        neutral: options whose values do not count as settings.

    Raises:
        UserError: other settings than the run in `folder` had, or the run failed.
    """
    settings = {
        "arguments": list(_without_values(arguments, neutral)),
        "configs": {path: _content(path) for path in _configs(arguments)},
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }
    # As it is read back: keys of YAML that are numbers become text.
    settings = json.loads(json.dumps(settings))
    started = folder / "started.json"
    before = read_json(started)
    if before is not None:
        before["configs"] = {path: renamed.config(text) for path, text in before.get("configs", {}).items()}
    if before != settings and _holds_something(folder):
        # Nothing is lost where nothing was trained.
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
        raise UserError(f"the run left no checkpoint in {folder}: its trainer needs the callback Checkpoints")
    mark = {"checkpoint": str(last.relative_to(folder))}
    write_atomically(folder / "done.json", json.dumps(mark).encode())
    return last


def fit_or_resume(folder: Path, arguments: Sequence[str]) -> None:
    """`lightning fit` with its runs in `folder`, from the last checkpoint that is there."""
    logger = [
        "--trainer.logger.init_args.save_dir", str(folder.parent),
        "--trainer.logger.init_args.name", folder.name,
    ]  # fmt: skip
    last = last_checkpoint(folder)
    resume = [] if last is None else ["--ckpt_path", str(last)]
    run("flowdistill.cli.lightning", ["fit", *arguments, *logger, *resume])


def predict(config: str, data: Path, checkpoint: Path, output: Path, options: Sequence[str] = ()) -> None:
    """`lightning predict` of a demo's config on rendered data, by default its validation split, into `output`."""
    run("flowdistill.cli.lightning", [
        "predict", *config_arguments([config, DATA_CONFIG, TRAINER_CONFIG]),
        "--data.init_args.root", str(data),
        "--ckpt_path", str(checkpoint),
        "--trainer.logger", "false",
        "--prediction.output", str(output),
        *options,
    ])  # fmt: skip


def config_arguments(configs: Sequence[str]) -> list[str]:
    """--config for each; later ones win."""
    return [part for file in configs for part in ("--config", file)]


def run(module: str, arguments: Sequence[str], allowed: Collection[int] = (0,)) -> int:
    """Run one of our console scripts in a process of its own, which ends when this one does; returns its exit code.

    Raises:
        UserError: it ended with another code than the allowed ones.
    """
    name = module.rpartition(".")[2]
    member = current()
    label = "" if member is None else f"[{member[1]}] "
    print(f"\n{label}$ {name} {shlex.join(arguments)}", flush=True)
    # One thread: frames this small gain nothing from a second one, and threads that wait for each other on a busy
    # machine make a step up to ten times slower.
    environment = {"OMP_NUM_THREADS": "1", **os.environ, ENDS_WITH_PARENT: "1"}
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
    """Run a command with the terminal for itself. Whoever stops this process stops it, too: a training saves first."""
    process = subprocess.Popen(command, env=dict(environment))
    try:
        return process.wait()
    except BaseException:  # Ctrl-C, SIGTERM
        process.terminate()  # from a terminal it has had Ctrl-C already: that is one request
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
        raise


def finished(folder: Path) -> Path | None:
    """The last checkpoint of a training that is done."""
    done = read_json(folder / "done.json")
    checkpoint = None if done is None else folder / done["checkpoint"]
    return checkpoint if checkpoint is not None and checkpoint.is_file() else None


def last_checkpoint(folder: Path) -> Path | None:
    """last.ckpt of the newest run in `folder` that has one."""
    found = list(folder.glob("version_*/checkpoints/last.ckpt"))
    return max(found, key=lambda path: int(path.parts[-3].removeprefix("version_")), default=None)


def _configs(arguments: Sequence[str]) -> list[str]:
    return [value for key, value in itertools.pairwise(arguments) if key == "--config"]


def _content(path: str) -> Any:
    """What a YAML file says; a changed comment is no change."""
    return renamed.config(OmegaConf.to_container(OmegaConf.load(find(path)), resolve=False))


def _without_values(arguments: Sequence[str], neutral: Collection[str]) -> Iterator[str]:
    after_neutral = False
    for word in arguments:
        if not after_neutral:
            yield word
        after_neutral = word in neutral


def _holds_something(folder: Path) -> bool:
    """Whether there is anything but what a kill leaves of a file that was being written."""
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def read_json(path: Path) -> dict[str, Any] | None:
    """A file that a recipe wrote; None without one.

    Raises:
        UserError: it is damaged.
    """
    if not path.is_file():
        return None
    try:
        stored: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); delete it, and start again") from error
    return stored


def _changed(folder: Path, before: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """The message for a run that was started with other settings."""
    if before is None:
        return f"{folder} holds something else than a run that this recipe began: move it away"
    words = []
    for path, text in now["configs"].items():
        if before.get("configs", {}).get(path, text) != text:
            words.append(f"{path} has changed")
    for path, digest in now["files"].items():
        if before.get("files", {}).get(path, digest) != digest:
            words.append(f"{path} has changed")
    if before.get("arguments") != now["arguments"]:
        words.append(f"its arguments were\n  {shlex.join(before.get('arguments', []))}\nand are\n  "
                     f"{shlex.join(now['arguments'])}")  # fmt: skip
    return (
        f"the run in {folder} was started with other settings: {'; '.join(words) or 'other files'}. Move the folder "
        "away to start this stage anew, or set things back to go on with it."
    )
