"""Mixtures and proxy labels: the card's record of the samples, against independently computed hashes."""

import hashlib
from pathlib import Path

from flowdistill.data import MotionDataModule, SplitEntry, View
from flowdistill.data.views import Source
from flowdistill.tracking import combine, source_section
from flowdistill.tracking.splits import open_splits
from small_trainer import small_ddflow, trainer


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_mixture_is_hashed_with_its_weights(rendered: Path, tmp_path: Path) -> None:
    left_out = tmp_path / "exclude.txt"
    left_out.write_text("# a remark\n000001_00\n")
    view = View(
        train_sources=[
            Source(str(rendered / "train.txt"), weight=3),
            Source("scan", dataset="kitti2015", root=str(rendered), exclude=str(left_out)),
        ],
        val_split=str(rendered / "val.txt"),
    )
    module = MotionDataModule("kitti2015", root=str(rendered), flow=view, batch_size=2, num_workers=0)
    run = trainer(tmp_path, 2)
    run.fit(small_ddflow(), module)
    splits = open_splits(run)
    first = sha256("000000_00\n000000_01\n000001_00\n000001_01\n")
    second = sha256("000000_00\n000000_01\n000001_01\n000002_00\n000002_01\n")
    train = splits["train"]
    assert [source["sha256"] for source in train["sources"]] == [first, second]
    assert [source["entries"] for source in train["sources"]] == [4, 5]
    assert [source["split"] for source in train["sources"]] == [str(rendered / "train.txt"), "scan"]
    assert train["entries"] == 3 * 4 + 5
    assert train["sha256"] == sha256(f"kitti2015 3 {first}\nkitti2015 1 {second}\n")
    exclude = train["sources"][1]["exclude"]
    assert exclude is not None
    assert exclude["sha256"] == sha256(left_out.read_text())
    assert splits["val"]["sha256"] == sha256("000002_00\n000002_01\n")


def test_entries_with_camera_and_labels_are_hashed_as_lines(tmp_path: Path) -> None:
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "labels.yaml").write_text("teachers: {}\n")
    entries = [SplitEntry("000000_09", "right", "proxy"), SplitEntry("000000_10", labels="other")]
    source = source_section("kitti2015", tmp_path, "x.txt", entries)
    assert source["sha256"] == sha256("000000_09 camera=right labels=proxy\n000000_10 labels=other\n")
    made = source["labels"]["proxy"]
    assert made is not None
    assert made["sha256"] == sha256("teachers: {}\n")
    assert source["labels"]["other"] is None
    assert combine([source]) == {"sources": [source], "entries": 2, "sha256": source["sha256"]}
