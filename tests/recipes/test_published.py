"""Published numbers: each has a source and a grade, and none is outside its unit's range."""

from dataclasses import fields
from urllib.parse import urlparse

import pytest

from flowdistill.recipes.published import NOT_READABLE, PUBLISHED, Published, published_section

UNITS = {"Fl-all": "percent", "EPE": "px", "speed": "FPS", "parameters": "million"}
HIGHEST = {"percent": 100.0, "px": 50.0, "FPS": 1000.0, "million": 1000.0}


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.data} {row.metric}")
def test_each_number_has_its_source_and_is_possible(row: Published) -> None:
    for field in fields(row):
        if field.type == "str":
            assert len(getattr(row, field.name).strip()) > 3, field.name
    assert row.urls
    for url in row.urls:
        parts = urlparse(url)
        assert parts.scheme == "https"
        assert "." in parts.netloc
        assert len(parts.path) > 1
    assert row.unit == UNITS[row.metric]
    assert 0 < row.value < HIGHEST[row.unit]
    # A row with a single source states this.
    assert (len(row.urls) == 1) == ("no second source" in row.source)
    assert (len(row.urls) > 1) == (row.grade in ("good", "abstract"))


def test_no_quantity_has_two_numbers() -> None:
    quantities = [(row.method, row.data, row.metric, row.supervision, row.pixels) for row in PUBLISHED]
    assert quantities
    assert len(set(quantities)) == len(quantities)


def test_the_grades_are_those_of_the_sources() -> None:
    grades = {(row.method, row.data, row.metric): (row.value, row.grade) for row in PUBLISHED}
    assert grades["DDFlow", "KITTI 2015 test", "Fl-all"] == (14.29, "good")
    assert grades["DDFlow", "KITTI 2015 train", "EPE"] == (5.72, "one index page")
    assert grades["DDFlow", "KITTI 2012 train", "EPE"] == (2.35, "one index page")
    sintel = {data: value for (_, data, _), value in grades.items() if data.startswith("Sintel")}
    assert sintel == {
        "Sintel train clean": (2.92, "contradictory"), "Sintel train final": (3.98, "contradictory"),
        "Sintel test clean": (6.18, "contradictory"), "Sintel test final": (7.4, "contradictory"),
    }  # fmt: skip
    # Of DWARF, speed and size are known, no accuracy.
    dwarf = {row.metric: row.grade for row in PUBLISHED if row.method == "DWARF"}
    assert dwarf == {"speed": "abstract", "parameters": "counted"}


def test_a_table_says_what_is_not_known() -> None:
    kitti, sintel = published_section("kitti"), published_section("sintel")
    assert "| DDFlow | KITTI 2015 test |" in kitti
    assert "| Fl-all | 14.29 % | good | [1] |" in kitti
    assert (
        f"| DWARF | KITTI 2015, Gt, Px, Gt+Px of the ablation |  |  | D1, D2, Fl, SF | {NOT_READABLE} |"
        in kitti
    )
    assert "Sintel" not in kitti
    assert "| EPE | 2.92 px | contradictory | [1] |" in sintel
    assert "KITTI" not in sintel
