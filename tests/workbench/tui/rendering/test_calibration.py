"""The reliability diagram: every bin at its place, at both sizes, without colour."""

from __future__ import annotations

import pytest

from curation_db.enums import Claim, Question
from curation_db.stats.intervals import Interval
from curation_db.trust.calibration import Bin, LogitScale, Reliability, reliability
from curation_db.trust.evidence import JudgeIdentity
from curation_db.trust.judge_calibration import Answers, JudgeReport
from workbench.tui.rendering.calibration import ABOVE, BELOW, CALIBRATED, bin_mark, calibration_lines

ROOMS = [(76, 17), (76, 10), (112, 28), (116, 29), (196, 45)]


def report(figures: Reliability, *, name: str = "llava", prompt: str = "accept-3") -> JudgeReport:
    judge = JudgeIdentity(name, Question.ACCEPTABLE, "llava-v1.6", prompt)
    return JudgeReport(judge, Claim.ACCEPTABLE, Answers(0, 0, 0, 0), figures, LogitScale(), figures, figures)


def one_of_each() -> Reliability:
    """Bins below, on and above the diagonal, and seven empty ones."""
    groups = [(0.95, 100, 50), (0.56, 100, 56), (0.05, 1_234, 900)]
    probabilities = [p for p, n, _ in groups for _ in range(n)]
    return reliability(probabilities, [k < right for _, n, right in groups for k in range(n)])


def plain(figures: Reliability, room: tuple[int, int]) -> list[str]:
    return [line.plain for line in calibration_lines([report(figures)], 0, *room)]


def test_a_mark_says_whether_people_find_right_what_p_promises() -> None:
    def mark(low: float, high: float) -> str:
        return bin_mark(Bin(0.4, 0.5, 9, 0.45, Interval((low + high) / 2, low, high)))

    assert (mark(0.5, 0.9), mark(0.45, 0.9), mark(0.1, 0.45), mark(0.1, 0.4)) == (ABOVE, CALIBRATED, CALIBRATED, BELOW)


@pytest.mark.parametrize("room", ROOMS)
def test_marks_are_in_the_column_of_p_and_the_row_of_the_share(room: tuple[int, int]) -> None:
    lines = plain(one_of_each(), room)
    grid = [line for line in lines if line[4:5] in ("┤", "│")]
    assert len(grid) % 2 == 1
    cells = (len(next(line for line in lines if "└" in line).split("└")[1].split(" ")[0])) // 10
    for p, share, mark in ((0.95, 0.5, BELOW), (0.56, 0.56, CALIBRATED), (0.05, 900 / 1_234, ABOVE)):
        row = grid[round((1 - share) * (len(grid) - 1))]
        assert row[5 + int(p * 10 * cells)] == mark, (p, row)
    assert (grid[0][:5], grid[-1][:5], grid[len(grid) // 2][:5]) == ("   1┤", "   0┤", "  .5┤")
    assert grid[0][5 + 10 * cells - 1] == grid[-1][5] == "·", "the diagonal runs from corner to corner"
    counts = next(line for line in lines if line.startswith("   n ")).split()
    assert counts[1:11] == ["1234", "-", "-", "-", "-", "100", "-", "-", "-", "100"]


@pytest.mark.parametrize("room", ROOMS)
def test_the_page_fits(room: tuple[int, int]) -> None:
    width, height = room
    many = [report(one_of_each(), name="判断" * 20, prompt="x" * 80) for _ in range(60)]
    for reports in ([report(one_of_each())], many):
        lines = calibration_lines(reports, 0, width, height)
        assert max(line.cell_length for line in lines) <= width
        assert len(lines) <= max(height, 17)


def test_the_scores_are_beside_the_diagram() -> None:
    figures = one_of_each()
    text = "\n".join(plain(figures, (76, 17)))
    assert f"Brier {figures.brier:.2f}".replace("0.", ".") in text
    assert f"ECE {figures.ece:.2f}".replace("0.", ".") in text
    assert f"discrimination {figures.discrimination:.2f}".replace("0.", ".") in text
    assert "1,434 labels, 70% acceptable" in text
    assert "llava  acceptable?  prompt accept-3  llava-v1.6" in text


def test_a_wide_screen_lists_the_judges_and_marks_the_selected_one() -> None:
    reports = [report(one_of_each(), name=f"judge {n}") for n in range(3)]
    text = "\n".join(line.plain for line in calibration_lines(reports, 1, 116, 28))
    assert "▸ judge 1" in text
    assert "  judge 2" in text
    assert "2 of 3" in text
    many = [report(one_of_each(), name=f"judge {n:02}") for n in range(90)]
    for selected in (0, 45, 89):
        text = "\n".join(line.plain for line in calibration_lines(many, selected, 116, 28))
        assert f"▸ judge {selected:02}" in text


def test_without_labels_the_page_says_how_to_get_them() -> None:
    assert "negwb curate --stream audit" in calibration_lines([], 0, 76, 17)[1].plain
    undefined = plain(reliability([0.5], [True]), (76, 17))
    assert "discrimination –" in "\n".join(undefined)
    assert calibration_lines([report(reliability([], []))], 0, 76, 17)
