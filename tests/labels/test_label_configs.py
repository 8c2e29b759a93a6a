"""Invalid settings give an error that names the key; the committed configs are valid."""

from pathlib import Path

import pytest

from flowdistill.errors import UserError
from flowdistill.labels.config_file import read_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "labels").glob("*.yaml"))
GOOD = """
teachers:
  matcher: {opencv: {max_disparity: 64}}
motions: {flow: [matcher], disparity: [matcher]}
confidence: {flow: {consistency: {absolute: 1.0}, keep: 0.5}}
"""


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_committed_configs_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKPOINT", "some.ckpt")
    monkeypatch.setenv("PREDICTIONS", "predictions")
    config = read_config([path])
    assert config.motions.flow
    # The files of DWARF's authors' teachers are not checked, as in the released code; all others are.
    assert (config.confidence.flow.consistency is None) == (path.stem == "ilg")
    assert config.confidence.flow.none_set == config.confidence.disparity.none_set == (path.stem == "ilg")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("max_disparity: 64", "max_disparity: 65", r"opencv.max_disparity is 65; .*multiple of 16"),
        ("max_disparity: 64", "block_size: 4", r"opencv.block_size is 4; use an odd number"),
        ("max_disparity: 64", "preset: slow", "preset"),
        ("max_disparity: 64", "disparities: 64", "disparities"),
        ("opencv: {max_disparity: 64}", "", "a teacher is one of opencv, files, checkpoint, not none"),
        ("opencv: {max_disparity: 64}", "opencv: {}, checkpoint: {path: a}", "not opencv and checkpoint"),
        ("opencv: {max_disparity: 64}", "files: {folder: x}", "files: no pattern is given"),
        ("opencv: {max_disparity: 64}", "files: {folder: x, flow: all.flo}", r"it needs \{id\}"),
        ("opencv: {max_disparity: 64}", "files: {folder: x, disparity_t0: '{id}.flo'}", r"disparity .pfm or .png"),
        ("flow: [matcher]", "flow: [network]", "there is no teacher 'network'; teachers has matcher"),
        ("flow: [matcher], disparity: [matcher]", "", "so there is nothing to make"),
        ("absolute: 1.0", "absolute: -1.0", r"consistency.absolute is -1.0; use a positive number"),
        ("absolute: 1.0", "absolute: .nan", r"consistency.absolute is nan"),
        ("keep: 0.5", "keep: 1.5", "keep is 1.5; use 0 to 1"),
        ("confidence:", "view: flow\nconfidence:", r"motions.disparity needs both cameras"),
        ("confidence:", "trust:", "trust"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    good, wrong = tmp_path / "good.yaml", tmp_path / "wrong.yaml"
    good.write_text(GOOD)
    assert read_config([good]).teachers["matcher"].opencv is not None
    assert old in GOOD
    wrong.write_text(GOOD.replace(old, new))
    with pytest.raises(UserError, match=said) as caught:
        read_config([wrong])
    assert str(caught.value).startswith(f"{wrong}: ")


def test_a_teacher_that_nobody_asks_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "idle.yaml"
    path.write_text(GOOD.replace("motions:", "  idle: {opencv: {}}\nmotions:"))
    with pytest.raises(UserError, match=r"teachers\.idle is not used"):
        read_config([path])


def test_later_files_win_and_missing_ones_are_named(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(GOOD)
    second.write_text("confidence: {flow: {consistency: {absolute: 2.5}}}\n")
    check = read_config([first, second]).confidence.flow.consistency
    assert check is not None
    assert check.absolute == 2.5
    with pytest.raises(UserError, match=r"--config: there is no file .*third.yaml"):
        read_config([first, tmp_path / "third.yaml"])
