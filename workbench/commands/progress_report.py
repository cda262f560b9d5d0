"""`negwb progress`: what the Progress room shows, as tables or as one JSON object."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.commands.annotators import edits_listing
from workbench.commands.tables import Listing, show

if TYPE_CHECKING:
    from curation_db.balance import Balance, Part
    from curation_db.consensus import Consensus
    from curation_db.intervals import Interval
    from curation_db.judged import Confusion
    from curation_db.progress import Person, Progress
    from curation_db.speed import Speed
    from workbench.paths import Workspace

_EPILOG = """\b
Examples:
  negwb progress
  negwb progress --json | jq '.agreement.standing.ac1'
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(progress)


def progress(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show speed, time left, decisions, balance, agreement among people, and judges held against people.

    Targets of the balance are in [progress.targets] of negwb.toml. Intervals are 95 %; those of agreement resample
    pictures.
    """
    from workbench.paths import find_workspace  # noqa: PLC0415

    told = gather(find_workspace(context.obj))
    if as_json:
        typer.echo(json.dumps(report(told)))
        return
    from curation_db.consensus import on_kappa  # noqa: PLC0415

    show(_listings(told))
    if line := on_kappa(told.standing) or on_kappa(told.audit):
        typer.echo(line)


def gather(workspace: Workspace) -> Progress:
    """Count everything."""
    from curation_db.progress import read_progress  # noqa: PLC0415
    from curation_db.store import open_to_read  # noqa: PLC0415
    from curation_db.targets import resolve_target  # noqa: PLC0415
    from workbench.settings import read_settings  # noqa: PLC0415

    targets = read_settings(workspace.settings).targets
    with open_to_read(workspace.database) as store:
        return read_progress(store, {trait: resolve_target(trait, told) for trait, told in targets.items()})


# -- JSON -----------------------------------------------------------------------------------------------------------


def report(told: Progress) -> dict[str, Any]:
    """As `--json` prints it; what is not known is null."""
    from curation_db.consensus import on_kappa  # noqa: PLC0415

    work = told.work
    left = {"states": work.states, "wanted": work.wanted, "hours_left": work.hours_left, "edits_waiting": work.edits}
    plain = {
        "work": {**left, "team": work.team.figures()},
        "people": [{**asdict(person), "speed": person.speed.figures()} for person in told.people],
        "balance": {balance.trait: asdict(balance) for balance in told.balances},
        "agreement": {
            "standing": _consensus(told.standing),
            "audit": _consensus(told.audit),
            "on_kappa": on_kappa(told.standing) or on_kappa(told.audit),
        },
        "judges": [
            {**asdict(each), "precision": asdict(each.precision), "recall": asdict(each.recall)} for each in told.judges
        ],
    }  # fmt: skip
    return _without_nan(plain)  # type: ignore[no-any-return]


def _consensus(consensus: Consensus) -> dict[str, Any]:
    return {**asdict(consensus.told), "accepts": consensus.accepts}


def _without_nan(told: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(told, dict):
        return {key: _without_nan(value) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [_without_nan(value) for value in told]
    return None if isinstance(told, float) and not math.isfinite(told) else told


# -- tables ---------------------------------------------------------------------------------------------------------


def _listings(told: Progress) -> list[Listing]:
    listings = [
        _speeds(told),
        edits_listing(told.work.edits),
        _decisions(told),
        _reasons(told),
        *map(_balance, told.balances),
    ]
    listings += [
        _agreement("Agreement as votes stand", told.standing),
        _agreement("Agreement in the audit", told.audit),
    ]
    return [listing for listing in [*listings, _judges(told)] if listing.rows]


def _speeds(told: Progress) -> Listing:
    from workbench.tui.progress_lines import span  # noqa: PLC0415

    def row(name: str, speed: Speed) -> tuple[str, ...]:
        median = "-" if speed.median_ms is None else f"{speed.median_ms / 1000:.1f} s"
        pace = "-" if speed.per_hour is None else f"{speed.per_hour:,.0f}"
        hours = speed.hours_for(told.work.wanted)
        left = "-" if hours is None else span(hours)
        return name, pace, median, span(speed.active_ms / 3_600_000), f"{speed.looks:,}", left

    rows = [row(person.name, person.speed) for person in told.people]
    headers = ("name", "decisions/h", "median", "active", "timed", f"{told.work.wanted:,} left take")
    return Listing("Speed", headers, [*rows, row("everybody", told.work.team)] if rows else [])


def _decisions(told: Progress) -> Listing:
    from curation_db.in_force import DECISIONS  # noqa: PLC0415

    rows = [(person.name, *(f"{person.decisions[kind]:,}" for kind in DECISIONS)) for person in told.people]
    return Listing("Decisions that stand", ("name", *map(str, DECISIONS)), rows)


def _reasons(told: Progress) -> Listing:
    from curation_db.words import Reason  # noqa: PLC0415
    from workbench.annotation.wording import readable  # noqa: PLC0415

    def row(person: Person) -> tuple[str, ...]:
        return person.name, *(f"{person.reasons[reason]:,}" for reason in Reason)

    rejecting = [person for person in told.people if any(person.reasons.values())]
    names = (readable(reason) for reason in Reason)
    return Listing("Rejected because", ("name", *names), [row(person) for person in rejecting])


def _balance(balance: Balance) -> Listing:
    def row(part: Part) -> tuple[str, ...]:
        target = "-" if part.target is None else f"{part.target:.1%}"
        shares = (_share(part.accepted, balance.accepted), _share(part.proposed, balance.proposed))
        value = f"(no {balance.trait})" if part.value is None else part.value
        return value, f"{part.accepted:,}", shares[0], target, f"{part.proposed:,}", shares[1]

    parts = [*balance.parts, *([balance.rest] if balance.rest else [])]
    headers = (balance.trait, "accepted", "share", "target", "proposed", "share")
    return Listing(f"Balance of {balance.trait}", headers, [row(part) for part in parts])


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _agreement(title: str, consensus: Consensus) -> Listing:
    told = consensus.told
    if not told.items:
        return Listing(title, ("",), [])
    rows = [
        (name, *_interval(interval), f"{told.items:,}", f"{told.ratings:,}", _share(consensus.accepts, told.ratings))
        for name, interval in (("P_o", told.observed), ("AC1", told.ac1), ("alpha", told.alpha), ("kappa", told.kappa))
    ]
    return Listing(title, ("", "estimate", "low", "high", "candidates", "votes", "accepts"), rows)


def _judges(told: Progress) -> Listing:
    def row(each: Confusion) -> tuple[str, ...]:
        cells = (each.absent_absent, each.absent_present, each.present_absent, each.present_present)
        name = f"{each.judge} (simulated)" if each.simulated else each.judge
        rates = [" ".join(_interval(rate)) for rate in (each.precision, each.recall)]
        return name, each.prompt_version, str(each.labels), *(f"{number:,}" for number in cells), *rates

    headers = ("judge", "prompt", "labels", "both absent", "only judge absent", "only people absent", "both present",
               "precision of absent", "recall of absent")  # fmt: skip
    return Listing("Judges held against people", headers, [row(each) for each in told.judges], left=3,
                   dispensable=((1, "prompt"),))  # fmt: skip


def _interval(interval: Interval) -> tuple[str, str, str]:
    low, high = (f"{edge:.2f}" for edge in (interval.low, interval.high))
    return f"{interval.estimate:.2f}", low, high
