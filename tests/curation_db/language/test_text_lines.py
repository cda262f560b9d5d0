"""First and last line of the message of a library's exception."""

from __future__ import annotations

import pytest

from curation_db.language.sanitize import first_line, last_line


@pytest.mark.parametrize(
    ("error", "first", "last"),
    [
        (ValueError("one\ntwo\n"), "one", "two"),
        (ValueError("\n\n  one  \n\n"), "one", "one"),
        (EOFError(), "EOFError", "EOFError"),
        (RuntimeError(""), "RuntimeError", "RuntimeError"),
        (ValueError("\n"), "ValueError", "ValueError"),
        (OSError("a\x1b[31mb\u202ec"), "a[31mbc", "a[31mbc"),
        (ValueError("x" * 500), "x" * 199 + "…", "x" * 199 + "…"),
    ],
)
def test_a_line_of_an_error(error: Exception, first: str, last: str) -> None:
    assert (first_line(error), last_line(error)) == (first, last)


def test_the_limit() -> None:
    assert first_line(ValueError("abcdef"), limit=4) == "abc…"
