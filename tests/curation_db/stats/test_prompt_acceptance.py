"""Groups of candidates by prompt, folding of small ones, and the cost of an accepted candidate."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_db.stats.intervals import Interval, wilson
from curation_db.stats.prompt_acceptance import Cell, Counts, Dimension, amount_of, group_cells, per_accepted

BY = (Dimension.PROPOSER, Dimension.PROMPT, Dimension.CUE, Dimension.TYPE)


def cell(prompt: str = "a@1", cue: str = "no", kind: str = "absence", proposer: str = "m") -> Cell:
    return Cell(proposer, prompt, cue, kind, "P1", "end")


def counts(candidates: int, audited: int = 0, accepted: int = 0) -> Counts:
    return Counts(candidates=candidates, audited=audited, accepted=accepted, reviewed=1, reviewed_accepted=1)


CELLS = {
    cell(): counts(50, 20, 15),
    cell(cue="not"): counts(30, 4, 4),
    cell(cue="without", kind="action"): counts(10, 3, 1),
    cell("b@1"): counts(20, 5, 1),
}


def test_small_groups_of_a_prompt_are_folded_with_all_their_labels() -> None:
    groups = group_cells(CELLS, BY, fold_below=10)
    shown = [(group.values, group.folded, group.counts.audited, group.counts.accepted) for group in groups]
    assert shown == [
        (("m", "a@1", "no", "absence"), 0, 20, 15),
        (("m", "a@1", "", ""), 2, 7, 5),
        (("m", "b@1", "no", "absence"), 0, 5, 1),  # alone: folding would only hide its name
    ]
    assert groups[1].counts.acceptance == wilson(5, 7)


def test_prompts_are_never_folded() -> None:
    assert [group.folded for group in group_cells(CELLS, (Dimension.PROMPT,), fold_below=1_000)] == [0, 0]
    assert [group.folded for group in group_cells(CELLS, (Dimension.CUE, Dimension.TYPE), fold_below=1_000)] == [3]


@given(
    st.dictionaries(
        st.builds(cell, st.sampled_from("ab"), st.sampled_from(("no", "not", "without")), st.sampled_from("xy")),
        st.builds(lambda n, more: counts(n + more, n, n // 2), st.integers(0, 30), st.integers(0, 5)),
    ),
    st.permutations(list(Dimension)).flatmap(lambda by: st.integers(1, len(by)).map(lambda n: by[:n])),
    st.integers(0, 40),
)
def test_no_candidate_is_lost_or_counted_twice(cells: dict[Cell, Counts], by: list[Dimension], fold_below: int) -> None:
    groups = group_cells(cells, by, fold_below=fold_below)
    assert sum((group.counts for group in groups), start=Counts()) == sum(cells.values(), start=Counts())
    assert sorted(each for group in groups for each in group.cells) == sorted(cells)
    assert len({group.values for group in groups}) == len(groups)


def test_the_cost_of_an_accepted_candidate() -> None:
    cost = per_accepted(120.0, 40, Interval(0.75, 0.5, 0.9))
    assert (cost.estimate, cost.low, cost.high) == pytest.approx((4.0, 120 / 36, 6.0))
    unknown = per_accepted(120.0, 40, wilson(0, 0))
    assert (math.isnan(unknown.estimate), unknown.low, unknown.high) == (True, 3.0, math.inf)
    assert per_accepted(120.0, 40, wilson(0, 5)).estimate == math.inf


def test_candidates_of_a_prompt_share_its_cost() -> None:
    sizes = {("m", "a@1"): 90, ("m", "b@1"): 20}
    spent = {("m", "a@1"): 180.0, ("m", "b@1"): 100.0}
    by_cue = {
        group.values: amount_of(group, CELLS, lambda *name: spent.get(name), sizes)
        for group in group_cells(CELLS, (Dimension.CUE,))
    }
    assert by_cue == {("no",): 50 * 2.0 + 20 * 5.0, ("not",): 60.0, ("without",): 20.0}
    assert sum(amount for amount in by_cue.values() if amount) == sum(spent.values())
    known = group_cells(CELLS, (Dimension.CUE,))[0]
    assert amount_of(known, CELLS, lambda _, prompt: None if prompt == "b@1" else 1.0, sizes) is None
