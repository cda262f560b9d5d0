"""The report of a comparison of two prompt versions: acceptance on audit labels, cost, and labels still needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from curation_db.enums import ItemStatus
from curation_db.generation import comparisons
from curation_db.generation.comparisons import ComparedItem, PromptComparison
from curation_db.generation.prompt_outcomes import Price, Spend, spend_by_recipe
from curation_db.generation.random_assignment import Arm
from curation_db.language.sanitize import counted
from curation_db.stats.intervals import Interval
from curation_db.stats.prompt_acceptance import per_accepted
from curation_db.stats.randomised_comparison import ArmLabel, ShareDifference, compare_arms, cost_difference
from workbench.console.number_format import NONE, p_value, percent, signed, signed_span, span
from workbench.console.tables import Listing
from workbench.reports.prompt_report import (
    AMOUNTS,
    amount_spent,
    cost_header,
    cost_json,
    cost_text,
    dispensable_costs,
    finite,
    share_json,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

WANTED: Final = 0.05
"""The difference for which the number of labels is given."""


@dataclass(frozen=True, slots=True)
class ArmReport:
    prompt: str
    assigned: int
    processed: int
    """Assigned items with a result."""
    kept: int
    """Items with a candidate."""
    failed: int
    labels: int
    accepted: int
    unlabelled: int
    """Candidates of its audit set without a label."""
    unit_costs: Mapping[str, float | None]
    """Requests, tokens and money per candidate; None: not known."""
    simulated: bool


@dataclass(frozen=True, slots=True)
class PromptComparisonReport:
    """Old and new arm, and their difference."""

    comparison: PromptComparison
    old: ArmReport
    new: ArmReport
    difference: ShareDifference
    costs: Mapping[str, Interval | None]
    """Difference of requests, tokens and money per accepted candidate, new - old; None: not known."""
    seen: int = 0
    """Audit labels that are left out: an arm was tuned on the same half of the images."""
    altered: int = 0
    """Pairs whose stored arms do not agree with the seed."""

    @property
    def labels_needed(self) -> int:
        """Further audit labels that would show a difference of 5 points."""
        return self.difference.labels_needed(WANTED)


def comparison_report(
    connection: Connection,
    comparison: PromptComparison,
    new: Arm,
    prices: Mapping[str, Price],
    *,
    is_seen: Callable[[int], bool] = lambda image_id: False,
) -> PromptComparisonReport:
    """Report a comparison; `new` is the arm whose difference from the other one is given.

    Args:
        is_seen: Whether the labels of an image (id) were available when a prompt version was tuned.
    """
    items = comparisons.compared_items(connection, comparison)
    measured = [item for item in items if item.accepted is not None and not is_seen(item.image_id)]
    labels = [ArmLabel(item.image_id, item.pair, item.arm == new, bool(item.accepted)) for item in measured]
    spends = spend_by_recipe(connection)
    processed = comparisons.processed_items(connection, comparison)
    arms = {
        arm: _arm(comparison, arm, items, measured, spends, processed[arm], prices, is_seen) for arm in comparisons.ARMS
    }
    old: Arm = "b" if new == "a" else "a"
    costs: dict[str, Interval | None] = {}
    for amount in AMOUNTS:
        before, after = arms[old].unit_costs[amount], arms[new].unit_costs[amount]
        costs[amount] = None if before is None or after is None else cost_difference(labels, (before, after))
    seen = sum(item.accepted is not None for item in items) - len(measured)
    changed = comparisons.altered(comparison, items)
    return PromptComparisonReport(comparison, arms[old], arms[new], compare_arms(labels), costs, seen, changed)


def _arm(
    comparison: PromptComparison,
    arm: Arm,
    items: Sequence[ComparedItem],
    measured: Sequence[ComparedItem],
    spends: Mapping[str, Spend],
    recipe_items: int,
    prices: Mapping[str, Price],
    is_seen: Callable[[int], bool],
) -> ArmReport:
    own = [item for item in items if item.arm == arm]
    processed = sum(item.status is not None for item in own)
    kept = sum(item.status is ItemStatus.KEPT for item in own)
    spend = spends.get(comparison.recipe(arm), Spend())
    units: dict[str, float | None] = {}
    for amount in AMOUNTS:
        total = amount_spent(spend, amount, prices)
        # the recipe may have processed items outside the comparison, too: each item costs the same
        units[amount] = None if total is None or not kept else total / recipe_items * processed / kept
    return ArmReport(
        prompt=comparison.prompt(arm),
        assigned=len(own),
        processed=processed,
        kept=kept,
        failed=sum(item.status is ItemStatus.FAILED for item in own),
        labels=sum(item.arm == arm for item in measured),
        accepted=sum(item.arm == arm and bool(item.accepted) for item in measured),
        unlabelled=sum(item.in_audit and item.accepted is None and not is_seen(item.image_id) for item in own),
        unit_costs=units,
        simulated=spend.simulated,
    )


def report_json(report: PromptComparisonReport) -> dict[str, Any]:
    """Return all figures; what is not known or not finite is null."""
    difference = report.difference
    return {
        "comparison": report.comparison.id,
        "pipeline": report.comparison.pipeline,
        "seed": report.comparison.seed,
        "old": _arm_json(report.old, difference.old.share),
        "new": _arm_json(report.new, difference.new.share),
        "difference": finite(difference.difference.estimate),
        "difference_95": [difference.difference.low, difference.difference.high],
        "p": difference.p_value,
        "labels": difference.old.labels + difference.new.labels,
        "labels_left_out": report.seen,
        "altered_pairs": report.altered,
        "images": difference.images,
        "pairs_with_both_labels": difference.pairs,
        "gained": difference.gained,
        "lost": difference.lost,
        "design_effect": difference.design_effect,
        "cost_difference": {name: None if cost is None else cost_json(cost) for name, cost in report.costs.items()},
        "labels_needed_for_5_points": report.labels_needed,
    }


def _arm_json(arm: ArmReport, share: Interval) -> dict[str, Any]:
    costs = arm_costs(arm, share)
    return {
        "prompt": arm.prompt,
        "assigned": arm.assigned,
        "processed": arm.processed,
        "candidates": arm.kept,
        "failed": arm.failed,
        "audit": share_json(arm.labels, arm.accepted, share),
        "unlabelled_audit_candidates": arm.unlabelled,
        "per_accepted": {name: None if cost is None else cost_json(cost) for name, cost in costs.items()},
        "simulated": arm.simulated,
    }


def arm_costs(arm: ArmReport, share: Interval) -> dict[str, Interval | None]:
    """Return requests, tokens and money per accepted candidate of an arm."""
    return {amount: None if unit is None else per_accepted(unit, 1, share) for amount, unit in arm.unit_costs.items()}


def listing(report: PromptComparisonReport) -> Listing:
    """Return the table of the two arms and their difference."""
    difference = report.difference
    known = [amount for amount in AMOUNTS if report.costs[amount] is not None]
    headers = ("prompt version", "items", "candidates", "audit n", "accepted %", "95 %", *map(cost_header, known))
    rows = [
        (
            arm.prompt,
            f"{arm.processed:,}",
            f"{arm.kept:,}",
            f"{arm.labels:,}",
            percent(share.estimate),
            span(share) if arm.labels else NONE,
            *(cost_text(arm_costs(arm, share)[amount]) for amount in known),
        )
        for arm, share in ((report.old, difference.old.share), (report.new, difference.new.share))
    ]
    change = difference.difference
    rows.append(
        (
            "difference (points)",
            "",
            "",
            f"{difference.old.labels + difference.new.labels:,}",
            signed(change.estimate),
            signed_span(change),
            *(_change_text(report.costs[amount]) for amount in known),
        )
    )
    dispensable = [*dispensable_costs(known, 6), (1, "items"), (2, "candidates")]
    return Listing(f"prompt comparison {report.comparison.id}", headers, rows, left=1, dispensable=dispensable)


def _change_text(cost: Interval | None) -> str:
    if cost is None or not math.isfinite(cost.estimate):
        return NONE
    if not math.isfinite(cost.low):
        return f"{cost.estimate:+,.3g}"
    return f"{cost.estimate:+,.3g} ({cost.low:+,.3g}…{cost.high:+,.3g})"


def sentences(report: PromptComparisonReport) -> list[str]:
    """Return what the table does not say: the test, the pairs, and how many labels a decision needs."""
    difference = report.difference
    labels = difference.old.labels + difference.new.labels
    lines = []
    if difference.old.labels and difference.new.labels:
        lines.append(
            f"p = {p_value(difference.p_value)} (randomisation test of {labels:,} labels of {difference.images:,}"
            " images; interval by resampled images)"
        )
    else:
        lines.append("an arm has no audit labels yet: negwb curate --stream audit")
    if difference.pairs:
        lines.append(
            f"{difference.pairs:,} pairs have both labels: only the new version is accepted in {difference.gained:,}, "
            f"only the old one in {difference.lost:,}"
        )
    open_labels = report.old.unlabelled + report.new.unlabelled
    needed = report.labels_needed
    if needed:
        lines.append(
            f"{needed:,} more audit labels would show a difference of 5 points (power 80 %); the audit of this"
            f" comparison has {open_labels:,} more candidates" + (_MORE if open_labels < needed else "")
        )
    else:
        lines.append("the labels suffice to show a difference of 5 points (power 80 %)")
    waiting = report.old.assigned + report.new.assigned - report.old.processed - report.new.processed
    if waiting:
        lines.append(f"{waiting:,} assigned items have no result yet: repeat the negwb generate --compare command")
    if report.altered:
        lines.append(f"stored arms that do not agree with the seed: those of {counted(report.altered, 'pair')}")
    if report.seen:
        lines.append(f"{report.seen:,} audit labels are left out: a version was tuned on the same half of the images")
    if report.old.simulated or report.new.simulated:
        lines.append("simulated: some answers are those of scripts, not of models")
    return lines


_MORE: Final = ": generate more, or raise audit_rate in negwb.toml before"
