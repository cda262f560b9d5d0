"""Progress report (speed, decisions, balance, agreement, judges) as JSON and tables, and its screen cells."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from curation_db.enums import Reason
from curation_db.events.in_force import DECISIONS
from curation_db.stats.annotator_agreement import explain_kappa
from curation_db.stats.progress import read_progress
from curation_db.stats.targets import resolve_target
from curation_db.storage.store import open_read_only
from workbench.annotation.wording import readable
from workbench.console.number_format import NONE, decimal
from workbench.console.tables import Listing
from workbench.reports.status_report import edits_listing
from workbench.workspace.settings.settings import read_settings

if TYPE_CHECKING:
    from curation_db.stats.annotator_agreement import VoteAgreement
    from curation_db.stats.decision_speed import AnnotationSpeed
    from curation_db.stats.distribution import Balance, ValueShare
    from curation_db.stats.intervals import Interval
    from curation_db.stats.judge_accuracy import Confusion
    from curation_db.stats.progress import AnnotatorProgress, RecordProgress
    from workbench.workspace.layout import Workspace

COEFFICIENTS: Final = {"observed": "P_o", "ac1": "AC1", "alpha": "alpha", "kappa": "kappa"}
"""Fields of `Agreement` and their labels."""


def gather(workspace: Workspace) -> RecordProgress:
    targets = read_settings(workspace.settings).targets
    with open_read_only(workspace.database) as store:
        return read_progress(store, {trait: resolve_target(trait, text) for trait, text in targets.items()})


# -- cells ----------------------------------------------------------------------------------------------------------


def hours_text(hours: float) -> str:
    """Format a duration in minutes or hours."""
    minutes = hours * 60
    if minutes < 1:
        return "< 1 min" if minutes else "0 min"
    if minutes < 60:
        return f"{minutes:.0f} min"
    return f"{int(hours)} h {round(minutes % 60):02} min" if hours < 10 else f"{hours:,.0f} h"


def share_text(part: float, whole: float, *, digits: int = 0) -> str:
    return f"{part / whole:.{digits}%}" if whole else NONE


def speed_cells(speed: AnnotationSpeed, wanted: int) -> tuple[str, ...]:
    """Return decisions per hour, median, active time, timed decisions, and the time that `wanted` decisions take."""
    hours = speed.hours_for(wanted)
    return (
        NONE if speed.per_hour is None else f"{speed.per_hour:,.0f}",
        NONE if speed.median_ms is None else f"{speed.median_ms / 1000:.1f} s",
        hours_text(speed.active_ms / 3_600_000) if speed.timed_decisions else NONE,
        f"{speed.timed_decisions:,}",
        NONE if hours is None else hours_text(hours),
    )


def part_name(part: ValueShare, balance: Balance) -> str:
    """Return the value of a part, or a label for candidates without one."""
    return f"(no {balance.trait})" if part.value is None else part.value


def parts_of(balance: Balance) -> list[ValueShare]:
    """Return the parts and the rest, if there is one."""
    return [*balance.parts, *([balance.rest] if balance.rest else [])]


# -- JSON -----------------------------------------------------------------------------------------------------------


def as_json(progress: RecordProgress) -> dict[str, Any]:
    """Return the report as JSON types; unknown values are null."""
    work = progress.work
    left = {"states": work.states, "wanted": work.wanted, "hours_left": work.hours_left, "edits_waiting": work.edits}
    report = {
        "work": {**left, "team": work.team.figures()},
        "people": [
            {
                **asdict(person),
                "speed": person.speed.figures(),
                "probes": person.probes.figures(),
                "flips": person.flips.figures(),
            }
            for person in progress.people
        ],
        "balance": {balance.trait: asdict(balance) for balance in progress.balances},
        "agreement": {
            "standing": _consensus_json(progress.standing),
            "audit": _consensus_json(progress.audit),
            "on_kappa": kappa_note(progress),
        },
        "judges": [
            {**asdict(each), "precision": asdict(each.precision), "recall": asdict(each.recall)}
            for each in progress.judges
        ],
    }
    return _without_nan(report)  # type: ignore[no-any-return]


def kappa_note(progress: RecordProgress) -> str:
    """Return why kappa is misleading here; empty if it is not."""
    return explain_kappa(progress.standing) or explain_kappa(progress.audit)


def _consensus_json(consensus: VoteAgreement) -> dict[str, Any]:
    return {**asdict(consensus.coefficients), "accepts": consensus.accepts}


def _without_nan(value: Any) -> Any:
    """Replace NaN and infinity by None: JSON has neither."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# -- tables ---------------------------------------------------------------------------------------------------------


def listings(progress: RecordProgress) -> list[Listing]:
    """Return the tables of the report that have rows."""
    tables = [
        _speeds(progress),
        edits_listing(progress.work.edits),
        _decisions(progress),
        _reasons(progress),
        _probes(progress),
        *map(_balance, progress.balances),
        _agreement("Agreement of the votes in force", progress.standing),
        _agreement("Agreement in the audit", progress.audit),
        _flips(progress),
        _judges(progress),
    ]
    return [listing for listing in tables if listing.rows]


def _speeds(progress: RecordProgress) -> Listing:
    wanted = progress.work.wanted
    rows = [(person.name, *speed_cells(person.speed, wanted)) for person in progress.people]
    if rows:
        rows.append(("all", *speed_cells(progress.work.team, wanted)))
    headers = ("name", "decisions/h", "median", "active", "timed", f"time for {wanted:,} left")
    return Listing("Annotation speed", headers, rows)


def _decisions(progress: RecordProgress) -> Listing:
    rows = [(person.name, *(f"{person.decisions[kind]:,}" for kind in DECISIONS)) for person in progress.people]
    return Listing("Decisions in force", ("name", *map(str, DECISIONS)), rows)


def _reasons(progress: RecordProgress) -> Listing:
    def row(person: AnnotatorProgress) -> tuple[str, ...]:
        return person.name, *(f"{person.reasons[reason]:,}" for reason in Reason)

    rejecting = [person for person in progress.people if any(person.reasons.values())]
    names = (readable(reason) for reason in Reason)
    return Listing("Reasons of rejections", ("name", *names), [row(person) for person in rejecting])


def _probes(progress: RecordProgress) -> Listing:
    rows = [
        (each.name, f"{each.probes.answers:,}", f"{each.probes.consistent:,}", *_interval_cells(each.probes.share))
        for each in progress.people
        if each.probes.answers
    ]
    headers = ("name", "answers", "consistent", "share", "low", "high")
    return Listing("Consistency of the answers to probes with the accepts", headers, rows)


def _balance(balance: Balance) -> Listing:
    def row(part: ValueShare) -> tuple[str, ...]:
        target = NONE if part.target is None else f"{part.target:.1%}"
        accepted = share_text(part.accepted, balance.accepted, digits=1)
        proposed = share_text(part.proposed, balance.proposed, digits=1)
        return part_name(part, balance), f"{part.accepted:,}", accepted, target, f"{part.proposed:,}", proposed

    headers = (balance.trait, "accepted", "share", "target", "proposed", "share")
    return Listing(f"Balance of {balance.trait}", headers, [row(part) for part in parts_of(balance)])


def _agreement(title: str, consensus: VoteAgreement) -> Listing:
    agreement = consensus.coefficients
    accepts = share_text(consensus.accepts, agreement.ratings, digits=1)
    counts = (f"{agreement.items:,}", f"{agreement.ratings:,}", accepts)
    rows = [(name, *_interval_cells(getattr(agreement, field)), *counts) for field, name in COEFFICIENTS.items()]
    headers = ("", "estimate", "low", "high", "candidates", "votes", "accepts")
    return Listing(title, headers, rows if agreement.items else [])


def _flips(progress: RecordProgress) -> Listing:
    rows = [
        (
            person.name,
            f"{flips.labels:,}",
            f"{flips.flips:,}",
            *_interval_cells(flips.rate),
            f"{flips.toward:,} of {flips.differing:,}",
            f"{flips.away:,} of {flips.agreeing:,}",
        )
        for person in progress.people
        if (flips := person.flips).labels
    ]
    headers = ("name", "labels", "flips", "rate", "low", "high", "towards the judges", "away from them")
    return Listing("Audit labels changed after the verdicts were shown", headers, rows)


def _judges(progress: RecordProgress) -> Listing:
    def row(each: Confusion) -> tuple[str, ...]:
        counts = (each.absent_absent, each.absent_present, each.present_absent, each.present_present)
        name = f"{each.judge} (simulated)" if each.simulated else each.judge
        rates = [" ".join(_interval_cells(rate)) for rate in (each.precision, each.recall)]
        return name, each.prompt_version, str(each.labels), *(f"{number:,}" for number in counts), *rates

    headers = (
        *("judge", "prompt", "labels"),
        *("both absent", "only judge absent", "only annotators absent", "both present"),
        *("precision of absent", "recall of absent"),
    )
    rows = [row(each) for each in progress.judges]
    return Listing("Judge accuracy against annotators", headers, rows, left=3, dispensable=((1, "prompt"),))


def _interval_cells(interval: Interval) -> tuple[str, str, str]:
    return decimal(interval.estimate), decimal(interval.low), decimal(interval.high)
