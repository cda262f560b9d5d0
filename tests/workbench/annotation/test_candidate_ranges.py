"""Numbers of candidates as text: both directions, and texts that are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.annotation.candidate_ranges import MOST, parsed, written


@given(st.sets(st.one_of(st.integers(1, 40), st.integers(1, 10**15)), min_size=1))
def test_what_is_written_is_parsed_again(numbers: set[int]) -> None:
    text = written(numbers)
    assert parsed(text) == sorted(numbers)
    assert parsed(text.replace(",", "\n")) == sorted(numbers)
    assert len(text.split(",")) == sum(number - 1 not in numbers for number in numbers), "one part per run of numbers"


def test_adjacent_numbers_are_a_range() -> None:
    assert written([12, 3, 4, 5, 40, 41, 3]) == "3-5,12,40-41"
    assert parsed(" 3-5, 12\n40-41 4 ") == [3, 4, 5, 12, 40, 41]


@pytest.mark.parametrize(
    "text", ["", " , ", "a", "3-", "-3", "5-3", "1-2-3", "1.5", "+4", "٣", f"1-{MOST + 1}", "9" * 30]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"candidate"):
        parsed(text)


def test_the_message_names_the_part() -> None:
    with pytest.raises(ValueError, match="'x7' is no number"):
        parsed("1-3,x7")
