"""The summary of a session in words: time and speed, gold items, agreement, goal. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from curation_db.language.sanitize import counted

if TYPE_CHECKING:
    from curation_db.search.session_work import SessionWork
    from curation_db.stats.agreement import Agreement
    from curation_db.stats.decision_speed import AnnotationSpeed
    from curation_db.stats.probes import Consistency


def report_lines(work: SessionWork, probes: Consistency, *, own: int, goal: int) -> list[tuple[str, str]]:
    """Return the lines of the summary with their labels; a line without figures is left out.

    Args:
        probes: How consistent the answers of the session to probes are.
        own: Candidates that were decided in the session.
        goal: Decisions to reach; 0: none.
    """
    lines = [
        ("time", _time(work.speed)),
        ("settled", f"{counted(work.settled, 'disagreement')} among these" if work.settled else ""),
        ("gold items", _gold(work)),
        ("agreement", _agreement(work.agreement)),
        ("probes", _probes(probes)),
        ("goal", _goal(own, goal)),
    ]
    return [(label, text) for label, text in lines if text]


def duration(milliseconds: int) -> str:
    """Return a duration such as "42 s", "4 min 12 s" or "1 h 02 min"."""
    seconds = round(milliseconds / 1000)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def _time(speed: AnnotationSpeed) -> str:
    if speed.per_minute is None or speed.median_ms is None:
        return ""
    pace = f"{speed.per_minute:.1f} decisions/min · median {speed.median_ms / 1000:.1f} s"
    return f"{duration(speed.active_ms)} without breaks · {pace}"


def _gold(work: SessionWork) -> str:
    if not work.gold.answers:
        return ""
    share = work.gold.share
    return f"{work.gold.right:,} of {work.gold.answers:,} right (95 % interval {share.low:.0%} to {share.high:.0%})"


def _agreement(agreement: Agreement | None) -> str:
    if agreement is None:
        return ""
    equal = round(agreement.observed.estimate * agreement.items)
    texts = [
        f"{equal:,} of {counted(agreement.items, 'vote')} equal to those of others ({agreement.observed.estimate:.0%})"
    ]
    for name, interval in (("kappa", agreement.kappa), ("AC1", agreement.ac1)):
        if not math.isnan(interval.estimate):
            texts.append(f"{name} {interval.estimate:.2f}")
    return ", ".join(texts)


def _probes(probes: Consistency) -> str:
    if not probes.answers:
        return ""
    share = probes.share
    fitting = f"{probes.consistent:,} of {counted(probes.answers, 'answer')} fit the accepts"
    return f"{fitting} (95 % interval {share.low:.0%} to {share.high:.0%})"


def _goal(own: int, goal: int) -> str:
    if not goal:
        return ""
    return f"{goal:,} reached, {own:,} decided" if own >= goal else f"{own:,} of {goal:,}"
