"""Parsing and printing of views, and the messages about invalid lines."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation_db.language.sanitize import clean
from curation_db.search.query_language import (
    CLOSED,
    MARGIN_LIMIT,
    NUMBERED,
    WORDS,
    QueryField,
    Sort,
    Term,
    TermMeaning,
    Value,
    View,
    ViewError,
    parse_view,
)

_LETTERS = st.sampled_from("abZ9 \t\n\"\\,=:-*_.'\u00e9e\u0301文\u202e\x1b\U0001f600")
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
_NAMES = st.text(_LETTERS, min_size=1, max_size=12).map(clean).filter(bool) | st.sampled_from(
    ["a b", 'say "no"', "back\\slash", "a,b", "x=y", "-", "llava-1.6", 'ends\\"', "state:open", "*"]
)
_WORDS = _NAMES.filter(lambda words: any(letter.isalnum() for letter in words))


def _values(field: QueryField) -> st.SearchStrategy[Value]:
    if field in CLOSED:
        return st.sampled_from(CLOSED[field]).map(lambda name: Value(str(name)))
    if field is QueryField.MARGIN:
        return st.from_regex(MARGIN_LIMIT, fullmatch=True).map(Value)
    if field in NUMBERED:
        return st.integers(1, 10**12).map(lambda number: Value(str(number)))
    if field is QueryField.JUDGE:
        return st.builds(Value, _NAMES, st.none() | st.sampled_from(TermMeaning))
    return st.builds(Value, _WORDS if field in WORDS else _NAMES)


def _terms(field: QueryField) -> st.SearchStrategy[Term]:
    return st.builds(Term, st.just(field), st.lists(_values(field), min_size=1, max_size=3).map(tuple), st.booleans())


views = st.builds(
    View, st.lists(st.sampled_from(QueryField).flatmap(_terms), max_size=5).map(tuple), st.sampled_from(Sort)
).flatmap(lambda view: st.sampled_from([view, view.reversed()]))


@_UNHURRIED
@given(views)
def test_a_printed_view_parses_to_itself(view: View) -> None:
    assert parse_view(str(view)) == view


@_UNHURRIED
@given(st.text(_LETTERS, max_size=40) | st.text(max_size=20))
def test_any_line_is_a_view_or_gives_a_one_line_error(line: str) -> None:
    try:
        view, message = parse_view(line), ""
    except ViewError as error:
        view, message = View(), str(error)
    assert "\n" not in message
    assert parse_view(str(view)) == view


def test_typical_lines() -> None:
    line = (
        'state:accepted,needs-more cue:no -judge:llava=present by:ana lint:in-sibling reason:rest-false "red hat" -dog'
    )
    view = parse_view(f"  {line}   sort:oldest ")
    assert view.sort is Sort.OLDEST
    assert view.terms == (
        Term.of(QueryField.STATE, "accepted", "needs_more"),
        Term.of(QueryField.CUE, "no"),
        Term(QueryField.JUDGE, (Value("llava", TermMeaning.PRESENT),), excluded=True),
        Term.of(QueryField.BY, "ana"),
        Term.of(QueryField.LINT, "in-sibling"),
        Term.of(QueryField.REASON, "rest_false"),
        Term.of(QueryField.TEXT, "red hat"),
        Term.of(QueryField.TEXT, "dog", excluded=True),
    )
    assert str(parse_view('concept:"fire hydrant"')) == 'concept:"fire hydrant"'
    assert str(parse_view("")) == ""


def test_a_minus_reverses_the_order() -> None:
    assert parse_view("sort:-text") == View(sort=Sort.TEXT, reverse=True)
    assert parse_view("sort:-text").reversed() == parse_view("sort:text")
    assert parse_view("sort:-newest") == parse_view("sort:oldest") == View().reversed()
    assert parse_view("hat sort:-text").sorted_by(Sort.DECIDED) == parse_view("hat sort:decided")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stat:open", "stat: is not known; did you mean state?"),
        ("state:opn", "state:opn is not known; did you mean open?"),
        ("judge:a=yes", "=yes is not known; known: present, absent"),
        ("cue:", "cue: has no value"),
        ("cue:no,", "cue: has no value"),
        ('"red hat', 'a quote is not closed: "red hat'),
        ('cue:"no"t', "cue: 't' cannot follow here"),
        ("sort:oldest sort:text", "sort: is given twice"),
        ("-sort:oldest", "sort: cannot be excluded"),
        ("!?", "'!?' contains no word to search for"),
        ("lint:duplicate", "lint:duplicate is not known"),
        ("like:hat", "like:hat is not the number of a candidate, as in like:1204"),
        ("family:0", "family:0 is not the number of a candidate, as in family:1204"),
    ],
)
def test_an_error_names_the_bad_word(line: str, message: str) -> None:
    with pytest.raises(ViewError) as error:
        parse_view(line)
    assert message in str(error.value)


def test_a_term_is_toggled() -> None:
    term = Term.of(QueryField.STATE, "open")
    assert str(View().toggled(term)) == "state:open"
    assert View().toggled(term).toggled(term) == View()


def test_a_view_with_a_like_term_is_ordered_by_similarity_unless_it_names_another_order() -> None:
    view = parse_view("like:1204 state:open")
    assert view.sort is Sort.SIMILAR
    assert str(view) == "like:1204 state:open"
    assert str(parse_view("like:1204 sort:newest")) == "like:1204 sort:newest"
    without = view.toggled(view.terms[0])
    assert (without.sort, str(without)) == (Sort.NEWEST, "state:open")
    for line in ("-like:3", "state:open sort:similar"):
        assert parse_view(line).sort is Sort.NEWEST
        assert Sort.SIMILAR not in parse_view(line).sorts
    assert view.sorts == tuple(Sort)
