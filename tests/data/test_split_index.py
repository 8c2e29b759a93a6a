"""The index of a dataset: the entries as given, in a few arrays that workers share."""

import gc
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdistill.data.index import SplitIndex
from flowdistill.data.splits import SplitEntry

ENTRIES = st.builds(
    SplitEntry,
    id=st.text(min_size=1, max_size=30),
    camera=st.sampled_from(["left", "right"]),
    labels=st.none() | st.text(min_size=1, max_size=5),
)


@given(st.lists(ENTRIES, max_size=20))
def test_gives_back_what_it_was_given(entries: list[SplitEntry]) -> None:
    index = SplitIndex(entries)
    assert list(index) == entries
    assert [index[position - len(entries)] for position in range(len(entries))] == entries
    kinds = {(entry.camera, entry.labels is None) for entry in entries}
    found = index.one_of_each()
    assert {(entry.camera, entry.labels is None) for entry in found} == kinds
    assert len(found) == len(kinds)
    with pytest.raises(IndexError):
        index[len(entries)]


def test_size_in_objects_does_not_grow_with_the_split() -> None:
    """The index has few Python objects, whose reference counts would make workers copy their memory pages."""

    def entries(count: int) -> list[SplitEntry]:
        return [SplitEntry(f"TRAIN/A/{n // 10:04d}/{n % 10:04d}", labels="proxy") for n in range(count)]

    few, many = SplitIndex(entries(10)), SplitIndex(entries(10_000))
    assert objects(few) == objects(many)
    assert objects(entries(10_000)) > 10_000
    assert len(pickle.dumps(many)) < 40 * 10_000


def objects(root: object) -> int:
    """The number of Python objects reachable from `root`, without classes."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        value = stack.pop()
        if id(value) in seen or isinstance(value, type):
            continue
        seen.add(id(value))
        if not isinstance(value, np.ndarray):
            stack.extend(gc.get_referents(value))
    return len(seen)
