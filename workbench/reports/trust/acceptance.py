"""Plan of automatic acceptance and review of earlier ones, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.console.number_format import NONE
from workbench.console.tables import Listing

if TYPE_CHECKING:
    from curation_db.trust.acceptance import Test
    from curation_db.trust.policy import AcceptancePlan, PlannedStratum, Policy, PolicyReview


def policy_json(policy: Policy) -> dict[str, Any]:
    from curation_db.trust.evidence import judge_of  # noqa: PLC0415

    return {
        "policy": policy.actor,
        "label": str(policy.claim),
        "precision": policy.target,
        "confidence": policy.confidence,
        "looks": None if policy.looks is None else list(policy.looks),
        "judges": [judge_of(key)._asdict() for key in policy.score.judges],
    }


def plan_json(plan: AcceptancePlan) -> dict[str, Any]:
    """Return the plan; `bound` is the lower bound of the precision at the confidence of the stratum."""
    return {
        **policy_json(plan.policy),
        "labels": plan.labels,
        "acceptable_now": len(plan.accepted),
        "later": plan.later,
        "not_covered": plan.other,
        "strata": [
            {
                "stratum": each.rule.name,
                "confidence": each.rule.confidence,
                "undecided": each.undecided,
                "audit": each.audit,
                "acceptable_now": len(each.accepted),
                "standing": None if each.standing is None else str(each.standing),
                "in_force": _test_json(each.applied),
                "next": _test_json(each.rule.next),
            }
            for each in plan.strata
        ],
    }


def _test_json(test: Test | None) -> dict[str, Any] | None:
    if test is None:
        return None
    return {
        "threshold": test.threshold,
        "labels": test.labels,
        "errors": test.errors,
        "bound": test.bound,
        "accepted": test.accepted,
        "missing_labels": test.missing,
    }


def review_json(review: PolicyReview) -> dict[str, Any]:
    return {
        **policy_json(review.policy),
        "accepted": len(review.accepted),
        "to_withdraw": len(review.withdrawn),
        "refuted": len(review.refuted),
        "outdated": len(review.outdated),
        "bound": review.bound,
        "standings": {name: str(each) for name, each in review.standings.items()},
        "evidence": {
            name: {"labels": each.labels, "errors": each.wrong, "bound": each.bound}
            for name, each in review.evidence.items()
        },
    }


def plan_listing(plan: AcceptancePlan) -> Listing:
    policy = plan.policy
    looking = "running audit" if policy.looks is None else f"looks at {', '.join(map(str, policy.looks))} labels"
    return Listing(
        f"{policy.claim} with a precision of {policy.target:g} at {policy.confidence:g} confidence, {looking}",
        ("stratum", "accept", "undecided", "bound", "labels", "wrong", "next: accept", "if right"),
        [_plan_row(each) for each in plan.strata],
        dispensable=((4, "labels"), (5, "wrong")),
    )


def _plan_row(each: PlannedStratum) -> tuple[str, ...]:
    applied, following = each.applied, each.rule.next
    shown = applied or following
    return (
        each.rule.name,
        f"{len(each.accepted):,}",
        f"{each.undecided:,}",
        f"{shown.bound:.3f}" if shown else "",
        f"{shown.labels:,}" if shown else "",
        f"{shown.errors:,}" if shown else "",
        f"{following.accepted:,}" if following else "",
        f"+{following.missing:,} labels" if following else "",
    )


def reviews_listing(reviews: Sequence[PolicyReview]) -> Listing:
    return Listing(
        "policies in force",
        ("policy", "label", "standing", "precision", "bound", "accepted", "withdraw"),
        [
            (
                each.policy.actor,
                str(each.policy.claim),
                ", ".join(sorted({str(standing) for standing in each.standings.values()})) or "-",
                f"{each.policy.target:g}",
                NONE if each.bound is None else f"{each.bound:.3f}",
                f"{len(each.accepted):,}",
                f"{len(each.withdrawn):,}",
            )
            for each in reviews
        ],
        left=3,
    )


def notes(plan: AcceptancePlan, reviews: Sequence[PolicyReview]) -> list[str]:
    """Return a line for each group of candidates that the policy leaves out or withdraws, with the reason."""
    outdated = "without a current verdict of its judges"
    lines = []
    if plan.later:
        lines.append(f"{plan.later:,} candidates are newer than the policy: declare again with --new")
    if plan.other:
        lines.append(f"{plan.other:,} candidates are in a stratum with too small an audit set, or {outdated}")
    for review in reviews:
        if review.refuted:
            lines.append(f"{review.policy.actor}: {len(review.refuted):,} acceptances are refuted by audit labels")
        if review.outdated:
            lines.append(f"{review.policy.actor}: {len(review.outdated):,} acceptances are {outdated}")
    return lines
