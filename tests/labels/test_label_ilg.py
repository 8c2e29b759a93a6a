"""configs/labels/ilg.yaml: files of other networks become labels unchanged, at every pixel, and are read as Px's."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from flowdistill.cli.flowdistill import main
from flowdistill.data import KittiDataset, SplitEntry
from flowdistill.data.sample import Sample
from flowdistill.errors import UserError
from flowdistill.formats import read_kitti_disparity, read_kitti_flow, write_flo, write_pfm
from flowdistill.labels.confidence import direct_confidence
from flowdistill.labels.config import Checks, Consistency
from flowdistill.labels.estimate import estimate

CONFIG = Path(__file__).parents[2] / "configs" / "labels" / "ilg.yaml"
IDS = ("000000_00", "000001_00")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Rendered images, and predictions: the exact truth with errors, also where matches leave the image."""
    root, out = tmp_path / "data", tmp_path / "ilg"
    assert (
        main(["data", "render", "--output", str(root), "--scenes", "2", "--size", "72x144", "--seed", "4"])
        == 0
    )
    (root / "split.txt").write_text("".join(f"{id_}\n" for id_ in IDS))
    rng = np.random.default_rng(0)
    for id_ in IDS:
        sample: dict[str, Any] = dict(KittiDataset(root, [SplitEntry(id_)], "scene_flow", labels=True)[0])
        flow = sample["flow"].numpy().transpose(1, 2, 0)
        for name in ("flow", "disp_0", "disp_1"):
            (out / name).mkdir(parents=True, exist_ok=True)
        write_flo(out / "flow" / f"{id_}.flo", flow + rng.normal(0, 3, flow.shape).astype(np.float32))
        for name, key in (("disp_0", "disparity_t0"), ("disp_1", "disparity_t1")):
            disparity = sample[key].numpy()[0] + rng.uniform(0, 4, flow.shape[:2])
            write_pfm(out / name / f"{id_}.pfm", disparity.astype(np.float32)[..., None])
    monkeypatch.setenv("PREDICTIONS", str(out))
    return root, out


def make(root: Path) -> int:
    words = [
        "--config",
        str(CONFIG),
        "--root",
        str(root),
        "--split",
        str(root / "split.txt"),
        "--output",
        "proxy",
    ]
    return main(["labels", "make", *words])


def test_every_pixel_is_a_label_with_the_value_of_the_file(folders: tuple[Path, Path]) -> None:
    from flowdistill.formats import read_flo, read_pfm

    root, out = folders
    assert make(root) == 0
    for id_ in IDS:
        flow, valid = read_kitti_flow(root / "proxy" / "left" / "flow" / f"{id_}.png")
        assert valid.all()
        assert np.abs(flow - read_flo(out / "flow" / f"{id_}.flo")).max() <= 1 / 128
        for name in ("disp_0", "disp_1"):
            disparity, valid = read_kitti_disparity(root / "proxy" / "left" / name / f"{id_}.png")
            assert valid.all()
            stored = read_pfm(out / name / f"{id_}.pfm")
            assert (
                np.abs(disparity[..., 0] - np.asarray(stored).reshape(disparity.shape[:2])).max() <= 1 / 512
            )
    # As the splits of configs/dwarf/supervision/ read them.
    entry = SplitEntry(IDS[0], labels="proxy")
    sample: dict[str, Any] = dict(KittiDataset(root, [entry], "scene_flow", labels=True)[0])
    assert all(sample[f"valid_{key}"].all() for key in ("flow", "disparity_t0", "disparity_t1"))


def test_negative_disparities_are_refused(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = folders
    write_pfm(out / "disp_0" / f"{IDS[0]}.pfm", np.full((72, 144, 1), -9, np.float32))
    assert make(root) == 2
    assert "disparities have the wrong sign. Set files.sign" in capsys.readouterr().err


def test_a_change_of_disparity_is_refused(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from flowdistill.formats import read_pfm

    root, out = folders
    first, second = (np.asarray(read_pfm(out / name / f"{IDS[0]}.pfm")) for name in ("disp_0", "disp_1"))
    write_pfm(out / "disp_1" / f"{IDS[0]}.pfm", np.abs(second - first).reshape(72, 144, 1) / 4)
    assert make(root) == 2
    assert f"{IDS[0]}: the median of disparity_t1 is" in capsys.readouterr().err
    assert not (root / "proxy").exists()


def test_a_config_with_other_checks_still_needs_the_photometric_one() -> None:
    known = estimate(np.ones((4, 5, 1), np.float32))
    flow = estimate(np.ones((4, 5, 2), np.float32))
    sample = cast(Sample, {"name": "a"})
    assert (direct_confidence(known, flow, sample, Checks(), "ilg") == 1).all()
    with pytest.raises(UserError, match=r"direct needs confidence\.disparity\.photometric"):
        direct_confidence(known, flow, sample, Checks(consistency=Consistency()), "ilg")
