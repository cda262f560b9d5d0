"""Tests of the filter completion and of the row selection, without a screen."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_db.search.query_language import QueryField
from workbench.tui.widgets.lists.filter_bar import completed, completions
from workbench.tui.widgets.lists.row_selection import TableSelection

IDS = list(range(1, 9))
_DEEDS = st.lists(st.tuples(st.sampled_from(["toggle", "take", "everything", "clear"]), st.sampled_from(IDS)))


@given(_DEEDS)
def test_a_selection_behaves_as_a_set(deeds: list[tuple[str, int]]) -> None:
    selection, wanted = TableSelection(), set[int]()
    for deed, number in deeds:
        match deed:
            case "toggle":
                selection.toggle(number)
                wanted ^= {number}
            case "take":
                selection.take(IDS[number - 1 : number + 2])
                wanted |= set(IDS[number - 1 : number + 2])
            case "everything":
                selection.everything()
                wanted = set(IDS)
            case "clear":
                selection.clear()
                wanted = set()
        assert list(selection.of(IDS)) == sorted(wanted)
        assert selection.count(IDS) == len(wanted)
        assert all((number in selection) is (number in wanted) for number in IDS)


def _known(field: QueryField) -> Sequence[str]:
    return {QueryField.CONCEPT: ["hat", "fire hydrant"], QueryField.JUDGE: ["llava-1"]}.get(field, ())


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ("", []),
        ("cu", ["cue:"]),
        ("state:open s", ["state:", "source:", "stream:", "sort:"]),
        ("state:re", ["rejected"]),
        ("state:open,re", ["open,rejected"]),
        ("-lint:in-s", ["in-sibling"]),
        ("concept:fi", []),
        ("concept:", ["hat", '"fire hydrant"']),
        ("judge:ll", ["llava-1"]),
        ("judge:llava-1=un", ["llava-1=unacceptable", "llava-1=unclear"]),
        ("sort:ne", ["newest"]),
        ("nothing:x", []),
    ],
)
def test_a_query_is_completed(line: str, ends: list[str]) -> None:
    assert completions(line, _known) == ends


def test_a_completion_replaces_the_typed_prefix() -> None:
    assert completed("cue:no -state:re", "rejected") == "cue:no -state:rejected"
    assert completed("cue:no st", "state:") == "cue:no state:"
