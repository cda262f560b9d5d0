"""The plot of a few points as text."""

from __future__ import annotations

import pytest

from workbench.console.scatter import mark, scatter


def _plot(points: list[tuple[float, float]]) -> list[str]:
    return scatter(points, x_name="affirm", y_name="negref", width=11, height=3)


def test_points_axes_and_names() -> None:
    assert _plot([(0.9, 0.0), (0.85, 0.5), (0.8, 1.0)]) == [
        "negref, %",
        " 100.0 |2",
        "       |     1",
        "   0.0 |          0",
        "       +-----------",
        "        80.0   90.0",
        "          affirm, %",
    ]


def test_points_in_one_cell_have_one_mark() -> None:
    assert _plot([(0.8, 0.5), (0.8, 0.5), (0.9, 0.9)])[3] == "  50.0 |*"


@pytest.mark.parametrize(
    ("share", "low", "high"), [(0.995, "90.0", "100.0"), (0.0, "0.0", "10.0"), (0.5, "45.0", "55.0")]
)
def test_tenths_of_a_point_do_not_fill_the_axis(share: float, low: str, high: str) -> None:
    lines = _plot([(0.1, share), (0.9, max(0.0, share - 0.001))])
    assert [lines[1].split()[0], lines[3].split()[0]] == [high, low]


def test_marks_repeat() -> None:
    assert [mark(index) for index in (0, 9, 10, 35, 36)] == ["0", "9", "a", "z", "0"]
