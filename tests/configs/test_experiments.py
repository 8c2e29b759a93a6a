"""One file per experiment: what each composes, that it parses, and that misuse is rejected."""

import re
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import yaml

from flowdistill.cli.flow_cli import FlowCLI, SaveFitConfig, ShortErrorParser
from flowdistill.data.shipped import expand, in_words
from flowdistill.errors import UserError

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "configs" / "experiment").glob("*.yaml"))


class ParseOnly(FlowCLI):
    """Parse without instantiating: GPU objects cannot be created here."""

    def instantiate_classes(self) -> None:
        pass

    def _run_subcommand(self, subcommand: str) -> None:
        pass


@pytest.fixture(scope="module")
def parser() -> Any:
    return ParseOnly(
        pl.LightningModule, pl.LightningDataModule, parser_class=ShortErrorParser, subclass_mode_model=True,
        subclass_mode_data=True, seed_everything_default=0, auto_configure_optimizers=False,
        parser_kwargs={"parser_mode": "omegaconf"}, save_config_callback=SaveFitConfig,
        args=["fit", "--config", str(EXPERIMENTS[0])],
    ).parser  # fmt: skip


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_is_its_composition(path: Path, parser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    name = path.relative_to(ROOT).as_posix()
    composed = yaml.safe_load(path.read_text())["compose"]
    words = in_words(["fit", "--config", name, "--data.init_args.root", "DIR"])
    assert words == [
        "fit", *(word for config in composed for word in ("--config", config)), "--data.init_args.root", "DIR"
    ]  # fmt: skip
    config = parser.parse_args(words).fit
    model, data = path.stem.split("_")[:2]
    assert config.model.class_path.endswith({"ddflow": "DDFlowModule", "dwarf": "DwarfModule"}[model])
    assert config.data.init_args.dataset in (data.replace("kitti", "kitti2015"), data, f"{data}_subset")
    assert config.data.init_args["flow" if model == "ddflow" else "scene_flow"].train_split
    assert config.trainer.max_steps > 0
    # It documents its command: a stage that needs weights shows the option.
    text = path.read_text()
    assert f"lightning fit --config {name} --data.init_args.root DIR" in text
    assert ("It starts from random weights" in text) != ("--model.init_args.init_from" in text)


def test_every_stage_has_one() -> None:
    names = {path.stem for path in EXPERIMENTS}
    stages = ("photometric", "census", "distill_online", "distill_joint", "distill_offline", "single_run")
    assert {
        f"ddflow_{data}_{stage}" for data in ("chairs", "kitti", "kitti2012", "sintel") for stage in stages
    } <= names
    supervision = {path.stem for path in (ROOT / "configs" / "dwarf" / "supervision").glob("*.yaml")}
    assert {f"dwarf_kitti_{name}" for name in supervision} | {"dwarf_things", "dwarf_things_subset"} <= names


def test_a_composition_holds_nothing_else(tmp_path: Path) -> None:
    experiment, other = tmp_path / "mine.yaml", tmp_path / "other.yaml"
    other.write_text("trainer: {max_steps: 3}  # compose: of a comment\n")
    experiment.write_text(f"compose: [{other}, configs/trainer/cpu.yaml]\n")
    assert [file.name for file in expand(experiment)] == ["other.yaml", "cpu.yaml"]
    assert expand(other) == [other]
    assert in_words(["--config", str(experiment), "--config=a.yaml", f"--config={experiment}"])[2:] == [
        "--config", str(expand(experiment)[1]), "--config=a.yaml", f"--config={other}",
        f"--config={expand(experiment)[1]}",
    ]  # fmt: skip
    for content in ("compose: [a.yaml]\ntrainer: {}\n", "compose: a.yaml\n", "compose: [1]\n"):
        experiment.write_text(content)
        with pytest.raises(
            UserError, match=re.escape(f"{experiment}: a config that composes others must contain `compose:")
        ):
            expand(experiment)
    nested = tmp_path / "nested.yaml"
    experiment.write_text("compose: [a.yaml]\n")
    nested.write_text(f"compose: [{experiment}]\n")
    with pytest.raises(UserError, match="which composes other files"):
        expand(nested)
