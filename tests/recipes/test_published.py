"""Published numbers: each has a source, and none is outside its unit's range."""

from dataclasses import fields
from urllib.parse import urlparse

import pytest

from flowdistill.recipes.published import PUBLISHED, Published

UNITS = {"Fl-all": "percent", "EPE": "px"}
HIGHEST = {"percent": 100.0, "px": 50.0}


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


def test_no_quantity_has_two_numbers() -> None:
    quantities = [(row.method, row.data, row.metric, row.supervision, row.pixels) for row in PUBLISHED]
    assert quantities
    assert len(set(quantities)) == len(quantities)
