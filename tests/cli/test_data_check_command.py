"""`flowdistill data check` and `data tree` as commands: the committed configs, JSON, exit codes, exclusion lists."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flowdistill.check.downloads import DOWNLOADS
from flowdistill.cli import lightning
from flowdistill.cli.flowdistill import main
from flowdistill.data.datasets import DATASETS
from flowdistill.render.writer import Request, write_dataset

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "kitti": "kitti2015",
    "kitti2012": "kitti2012",
    "things": "things",
    "things_subset": "things_subset",
    "chairs": "chairs",
    "sintel": "sintel",
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    for config, layout in CONFIGS.items():
        write_dataset(folder / config, layout, Request(seed=3, scenes=2, frames=2, size=(64, 64)))
    return folder


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("DATA_ROOT", raising=False)


def command(config: str, root: Path | None, output: Path, *more: str) -> list[str]:
    """The committed config; splits of the full data set are replaced by a scan."""
    arguments = ["data", "check", "--config", f"configs/data/{config}.yaml", "--json", str(output)]
    if root is not None:
        arguments += ["--root", str(root)]
    views = {"kitti": ("flow", "scene_flow"), "kitti2012": ("flow", "scene_flow"), "sintel": ("flow",)}
    for view in views.get(config, ()):
        for split in ("train_split", "val_split"):
            arguments += [f"--data.init_args.{view}.{split}", "scan"]
    return [*arguments, "--workers", "1", *more]


def problems_in(output: Path) -> list[tuple[str, str, str]]:
    content = json.loads(output.read_text())
    assert list(content) == ["problems"]
    return [(problem["sample"], problem["file"], problem["kind"]) for problem in content["problems"]]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_clean_tree_and_one_fault(
    config: str, originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, output = tmp_path / "data", tmp_path / "new" / "out.json"
    shutil.copytree(originals / config, root)
    assert main(command(config, root, output)) == 0
    assert problems_in(output) == []
    assert "no problems" in capsys.readouterr().out
    broken = sorted(root.rglob("*.flo") or root.rglob("flow*/**/*.p*"))
    broken = broken or sorted(root.rglob("*.pfm")) or sorted(root.rglob("flow_occ/*.png"))
    broken[0].write_bytes(broken[0].read_bytes()[:-9])
    for fast in ((), ("--fast",)):
        assert main(command(config, root, output, *fast)) == 1
        found = problems_in(output)
        assert {(file, kind) for _, file, kind in found} == {(str(broken[0]), "unreadable")}
        assert len(found) == (2 if config == "sintel" else 1)  # one flow for both passes
        said = capsys.readouterr().out
        assert "unreadable" in said
        assert f"data tree {CONFIGS[config]}" in said


def test_the_number_of_workers_changes_nothing(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    shutil.copytree(originals / "things_subset", root)
    files = sorted(root.rglob("*.p[nf][gm]"))
    for number, path in enumerate(files[::3]):
        path.unlink() if number % 2 else path.write_bytes(path.read_bytes()[:50])
    texts = []
    monkeypatch.setenv("DATA_ROOT", str(root))  # in place of --root
    for workers in ("1", "2"):
        output = tmp_path / f"{workers}.json"
        assert main([*command("things_subset", None, output), "--workers", workers]) == 1
        texts.append(output.read_text())
    assert texts[0] == texts[1]
    assert {kind for *_, kind in problems_in(output)} == {"missing", "unreadable"}


def test_wrong_lines_and_wrong_files_are_told_apart_from_the_users_mistakes(
    originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, split = tmp_path / "out.json", tmp_path / "split.txt"
    split.write_text("00001\nchair 2\n00009\n")
    on_split = ("--data.init_args.flow.train_split", str(split))
    assert main(command("chairs", originals / "chairs", output, *on_split)) == 1
    found = problems_in(output)
    data = originals / "chairs" / "FlyingChairs_release" / "data"
    assert ("chair 2", str(split), "bad_split_line") in found
    assert ("00009", str(data / "00009_img1.ppm"), "missing") in found
    assert f"{split}, line 2: " in capsys.readouterr().out
    for wrong, said in (
        (("--root", str(tmp_path)), "Looked for FlyingChairs"),
        (("--data.init_args.flow.train_split", str(tmp_path / "none.txt")), "none.txt does not exist"),
        (("--workers", "0"), "--workers is 0"),
        (("--json", str(tmp_path)), "is a folder"),
        (("--config", str(tmp_path / "none.yaml")), "none.yaml: no such file"),
    ):
        assert main([*command("chairs", originals / "chairs", output), *wrong]) == 2
        assert said in capsys.readouterr().err
    no_data = [
        "data",
        "check",
        "--config",
        "configs/ddflow/census.yaml",
        "--json",
        str(output),
        "--root",
        "x",
    ]
    assert main(no_data) == 2
    assert "there is no `data:` part" in capsys.readouterr().err
    for wrong in (
        ("--data.init_args.batch_sice", "3"),
        ("--data.init_args.batch_size", "many"),
        ("--nonsense",),
    ):
        with pytest.raises(SystemExit) as caught:
            main([*command("chairs", originals / "chairs", output), *wrong])
        assert caught.value.code == 2
        assert "error: " in capsys.readouterr().err
    assert problems_in(output) == found  # nothing was written in between


def test_other_commands_refuse_unknown_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["data", "tree", "things", "--data.init_args.root", "x"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --data.init_args.root x" in capsys.readouterr().err


def test_missing_files_are_advised_on_by_archive(
    originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = tmp_path / "split.txt"
    split.write_text("000000_00\n000150_10\n000150_11\n")
    more = ("--data.init_args.flow.val_split", str(split), "--data.init_args.val_labels", "false")
    assert main(command("kitti", originals / "kitti", tmp_path / "out.json", *more)) == 1
    said = capsys.readouterr().out
    assert "Get data_scene_flow.zip from https://www.cvlibs.net/datasets/kitti/eval_scene_flow.php" in said
    assert "Get data_scene_flow_multiview.zip" in said
    assert f"so that {originals / 'kitti'} contains training/image_2/000150_10.png" in said


def test_an_exclusion_list_makes_training_possible(
    originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, exclude, output = tmp_path / "data", tmp_path / "exclude.txt", tmp_path / "out.json"
    shutil.copytree(originals / "kitti", root)
    (root / "training" / "image_2" / "000000_01.png").write_bytes(b"damaged")
    assert main(command("kitti", root, output, "--exclude-to", str(exclude))) == 1
    assert exclude.read_text().splitlines()[1:] == ["000000_00"]
    with_list = ("--data.init_args.exclude", str(exclude))
    # Check again and rewrite the list: excluded samples stay excluded.
    assert main(command("kitti", root, output, *with_list, "--exclude-to", str(exclude))) == 0
    assert exclude.read_text().splitlines()[1:] == ["000000_00"]

    def fit(*more: str) -> int:
        files = ("configs/ddflow/photometric.yaml", "configs/data/kitti.yaml", "configs/trainer/cpu.yaml")
        options = {
            "data.init_args.root": root,
            "data.init_args.flow.train_split": "scan",
            "data.init_args.flow.val_split": "scan",
            "data.init_args.flow.crop": "[64, 64]",
            "data.init_args.num_workers": 0,
            "data.init_args.batch_size": 2,
            "model.init_args.width": 0.125,
            "trainer.max_steps": 1,
            "trainer.val_check_interval": 1,
            "trainer.enable_progress_bar": "false",
            "trainer.enable_model_summary": "false",
            "trainer.logger.init_args.save_dir": tmp_path / "logs",
        }
        configs = [part for file in files for part in ("--config", file)]
        settings = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        return lightning.main(["fit", *configs, *settings, *more])

    assert fit() == 2
    assert "000000_01.png" in capsys.readouterr().err
    assert fit(*with_list) == 0


def test_each_data_set_of_a_mixture_has_its_own_list(originals: Path, tmp_path: Path) -> None:
    root, things = tmp_path / "sintel", tmp_path / "things"
    shutil.copytree(originals / "sintel", root)
    shutil.copytree(originals / "things", things)
    (root / "training" / "final" / "scene_0001" / "frame_0002.png").write_bytes(b"damaged")
    next(things.rglob("OpticalFlowIntoFuture*")).write_bytes(b"damaged")
    sources: list[dict[str, object]] = [
        {"split": "scan", "weight": 2},
        {"split": "scan", "dataset": "things", "root": str(things)},
    ]
    flow = {"val_split": "scan", "train_sources": sources}
    init = {"dataset": "sintel", "root": str(root), "flow": flow}
    config = tmp_path / "mixed.yaml"
    content: dict[str, object] = {
        "data": {"class_path": "flowdistill.data.MotionDataModule", "init_args": init}
    }
    config.write_text(json.dumps(content))  # JSON is valid YAML
    exclude = tmp_path / "lists" / "bad.txt"
    output = tmp_path / "out.json"
    check = ["data", "check", "--config", str(config), "--json", str(output), "--workers", "1"]
    assert main([*check, "--exclude-to", str(exclude)]) == 1
    assert exclude.read_text().splitlines()[1:] == ["final/scene_0001/frame_0001"]
    other = exclude.with_name("bad-1.txt")
    assert len(other.read_text().splitlines()) == 2
    sources[1]["exclude"] = str(other)
    config.write_text(json.dumps(content))
    assert main([*check, "--data.init_args.exclude", str(exclude)]) == 0
    assert problems_in(output) == []


@pytest.mark.parametrize("dataset", sorted(DOWNLOADS))
def test_tree_prints_the_layout_and_the_page(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "tree", dataset]) == 0
    said = capsys.readouterr().out
    for marker in DATASETS[dataset].markers(DATASETS[dataset].chosen_options(None))[:1]:
        assert f"<root>/{marker}" in said
    assert "An id is" in said or "Ids are" in said
    assert "Download: http" in said


def test_tree_names_the_known_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "tree", "kiti2015"]) == 2
    assert "Did you mean kitti2015?" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_does_not_cost_the_report(originals: Path, tmp_path: Path) -> None:
    """`flowdistill data check ... | head -1`: standard output is closed before anything is printed."""
    output, bad = tmp_path / "out.json", tmp_path / "bad.txt"
    arguments = command("chairs", originals / "chairs", output, "--exclude-to", str(bad))
    reading, writing = os.pipe()
    os.close(reading)
    code = f"from flowdistill.cli.flowdistill import main; raise SystemExit(main({arguments!r}))"
    subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert problems_in(output) == []
    assert bad.is_file()
