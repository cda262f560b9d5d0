"""What each prompt version is worth: acceptance rates of its candidates and the cost of an accepted one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from curation_db.generation import prompt_outcomes as outcomes
from curation_db.generation.prompt_outcomes import AuditedCandidate, Price, Spend
from curation_db.stats.prompt_acceptance import (
    AcceptanceGroup,
    Cell,
    Counts,
    Dimension,
    amount_of,
    group_cells,
    per_accepted,
)
from workbench.console.number_format import NONE, percent, span
from workbench.console.tables import Listing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from curation_db.stats.intervals import Interval
    from workbench.workspace.settings.engines import EngineSettings

AMOUNTS: Final = ("requests", "tokens", "money")


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A group of candidates with what an accepted one costs."""

    group: AcceptanceGroup
    rates: tuple[float, ...]
    """Sampling probabilities of its audit labels. With more than one the share is that of the labels, not that of the
    candidates."""
    costs: Mapping[str, Interval | None]
    """Requests, tokens and money per accepted candidate; None: not known."""
    uncounted: int
    """Answers of its prompt versions without a count of tokens."""
    simulated: bool


@dataclass(frozen=True, slots=True)
class PromptReport:
    by: tuple[Dimension, ...]
    rows: tuple[PromptRow, ...]
    seen: int = 0
    """Audit labels that are left out: the tuned prompt version has examples from the same half of the images."""


def prices_of(engines: Mapping[str, EngineSettings]) -> dict[str, Price]:
    """Return the prices of the engines that have one in negwb.toml."""
    return {
        name: Price(engine.price_in or 0.0, engine.price_out or 0.0)
        for name, engine in engines.items()
        if engine.price_in is not None or engine.price_out is not None
    }


def prompt_report(
    connection: Connection,
    by: Sequence[Dimension],
    prices: Mapping[str, Price],
    *,
    fold_below: int,
    is_seen: Callable[[AuditedCandidate], bool] = lambda candidate: False,
) -> PromptReport:
    """Return the acceptance rates by some dimensions; see `group_cells` for `fold_below`.

    Args:
        is_seen: Whether the candidate's prompt version was made from labels of the same half of the images.
    """
    cells = outcomes.candidate_cells(connection)
    rates: dict[Cell, set[float]] = defaultdict(set)
    seen = 0
    for each in outcomes.audited_candidates(connection):
        if is_seen(each):
            seen += 1
            continue
        label = Counts(audited=1, accepted=int(each.accepted))
        cells[each.cell] = cells.get(each.cell, Counts()) + label
        rates[each.cell].add(each.rate)
    sizes: dict[tuple[str, str], int] = defaultdict(int)
    for cell, counts in cells.items():
        sizes[cell.proposer, cell.prompt] += counts.candidates
    spends = outcomes.spend_by_prompt(connection)
    rows = [
        PromptRow(
            group,
            tuple(sorted({rate for cell in group.cells for rate in rates[cell]})),
            _costs(group, cells, spends, sizes, prices),
            sum(spends[name].uncounted for name in _prompts(group) if name in spends),
            any(spends[name].simulated for name in _prompts(group) if name in spends),
        )
        for group in group_cells(cells, by, fold_below=fold_below)
    ]
    return PromptReport(tuple(by), tuple(rows), seen)


def _prompts(group: AcceptanceGroup) -> Collection[tuple[str, str]]:
    return {(cell.proposer, cell.prompt) for cell in group.cells}


def _costs(
    group: AcceptanceGroup,
    cells: Mapping[Cell, Counts],
    spends: Mapping[tuple[str, str], Spend],
    sizes: Mapping[tuple[str, str], int],
    prices: Mapping[str, Price],
) -> dict[str, Interval | None]:
    costs: dict[str, Interval | None] = {}
    for amount in AMOUNTS:

        def spent(proposer: str, prompt: str, amount: str = amount) -> float | None:
            spend = spends.get((proposer, prompt))
            return None if spend is None else amount_spent(spend, amount, prices)

        total = amount_of(group, cells, spent, sizes)
        counts = group.counts
        costs[amount] = None if total is None else per_accepted(total, counts.candidates, counts.acceptance)
    return costs


def amount_spent(spend: Spend, amount: str, prices: Mapping[str, Price]) -> float | None:
    """Return the requests, tokens or money of a spend; None: not known."""
    if amount == "money":
        return spend.money(prices)
    return spend.requests if amount == "requests" else None if spend.uncounted else spend.tokens


def report_json(report: PromptReport) -> list[dict[str, Any]]:
    """Return one object per row; what is not known or not finite is null."""
    return [_row_json(row, report.by) for row in report.rows]


def _row_json(row: PromptRow, by: Sequence[Dimension]) -> dict[str, Any]:
    counts, values = row.group.counts, row.group.values
    return {
        **{str(dimension): value for dimension, value in zip(by, values, strict=True)},
        "folded_groups": row.group.folded,
        "candidates": counts.candidates,
        "audit": share_json(counts.audited, counts.accepted, counts.acceptance),
        "audit_rates": list(row.rates),
        "reviewed": share_json(counts.reviewed, counts.reviewed_accepted, counts.reviewed_acceptance),
        "per_accepted": {name: None if cost is None else cost_json(cost) for name, cost in row.costs.items()},
        "answers_without_token_count": row.uncounted,
        "simulated": row.simulated,
    }


def share_json(n: int, accepted: int, share: Interval) -> dict[str, Any]:
    """Return a share as JSON; null without labels."""
    return {
        "n": n,
        "accepted": accepted,
        "share": finite(share.estimate),
        "share_95": [share.low, share.high] if n else None,
    }


def cost_json(cost: Interval) -> dict[str, Any]:
    """Return a cost per accepted candidate as JSON; an unbounded limit is null."""
    return {"estimate": finite(cost.estimate), "interval_95": [finite(cost.low), finite(cost.high)]}


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def listing(report: PromptReport) -> Listing:
    """Return the table of acceptance rates; without columns of costs that no row has."""
    by, first = report.by, len(report.by)
    known = [amount for amount in AMOUNTS if any(row.costs[amount] is not None for row in report.rows)]
    headers = ("candidates", "audit n", "accepted %", "95 %", "reviewed n", "accepted %", *map(cost_header, known))
    costs = dispensable_costs(known, first + 6)
    rest = [(first + 5, "reviewed accepted %"), (first + 4, "reviewed n")]
    rows = [
        (
            *_names(row.group),
            f"{row.group.counts.candidates:,}",
            f"{row.group.counts.audited:,}",
            percent(row.group.counts.acceptance.estimate),
            span(row.group.counts.acceptance) if row.group.counts.audited else NONE,
            f"{row.group.counts.reviewed:,}",
            percent(row.group.counts.reviewed_acceptance.estimate),
            *(cost_text(row.costs[amount]) for amount in known),
        )
        for row in report.rows
    ]
    return Listing(
        "what people accept of each prompt",
        (*map(str, by), *headers),
        rows,
        left=first,
        dispensable=[*costs[:1], *rest, *costs[1:], (first, "candidates")],
    )


def cost_header(amount: str) -> str:
    return f"{amount} / accepted"


def dispensable_costs(known: Sequence[str], first: int) -> list[tuple[int, str]]:
    """Return the columns of costs in the order in which a narrow terminal leaves them out; `first`: their first column.
    The least telling ones come first: money stays longer than requests, and requests longer than tokens."""
    order = ("tokens", "requests", "money")
    return [(first + known.index(amount), cost_header(amount)) for amount in order if amount in known]


def _names(group: AcceptanceGroup) -> tuple[str, ...]:
    names = [value or NONE for value in group.values]
    if group.folded:
        empty = group.values.index("")
        names[empty:] = [f"others ({group.folded})", *([""] * (len(names) - empty - 1))]
    return tuple(names)


def cost_text(cost: Interval | None) -> str:
    """Format a cost with its interval, such as 6.1 (5.2–7.9)."""
    if cost is None:
        return NONE
    return f"{_amount(cost.estimate)} ({_amount(cost.low)}–{_amount(cost.high)})"


def _amount(value: float) -> str:
    if math.isnan(value):
        return NONE
    return "∞" if math.isinf(value) else f"{value:,.3g}" if value < 1_000 else f"{value:,.0f}"


def notes(report: PromptReport) -> list[str]:
    """Return what a reader must know about the rows."""
    lines = []
    if any(len(row.rates) > 1 for row in report.rows):
        lines.append("some rows have audit labels of several sampling rates: their share is that of the labels")
    if any(row.uncounted for row in report.rows):
        lines.append("some servers did not count the tokens of their answers: no tokens and no money for these rows")
    if any(row.costs["requests"] is not None and row.costs["money"] is None for row in report.rows):
        lines.append("no money for engines without price_in and price_out in negwb.toml ([engines.NAME])")
    if any(row.simulated for row in report.rows):
        lines.append("simulated: some answers are those of scripts, not of models")
    if report.seen:
        lines.append(
            f"{report.seen:,} audit labels are left out: the prompt version was tuned on the same half of the images"
        )
    return lines


def without_labels(report: PromptReport) -> bool:
    """Whether no row has a label of people."""
    return not any(row.group.counts.audited or row.group.counts.reviewed for row in report.rows)
