"""Policies: what judges may accept on their own, declared, certified, applied and reviewed on the record.

A policy is declared before its labels are looked at: the claim, the precision and confidence, the score, the strata and
their thresholds. The declaration is stored in the record, and its hash is the version in the name of the actor. Later
runs test the same declaration with more labels; a new declaration is a new test. The score is fitted on the labels of
some images, and only the labels of the others test thresholds.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from curation_db.enums import Claim, Kind, Role, State
from curation_db.errors import RecordError
from curation_db.events.annotators import Actor
from curation_db.foreign_json import parse_json
from curation_db.review.decisions import DecisionWriter
from curation_db.stats.intervals import exact_lower
from curation_db.storage.ids import uuid7
from curation_db.storage.sqlite import batches
from curation_db.storage.store import Store
from curation_db.trust import running_audit
from curation_db.trust.acceptance import (
    AuditLabel,
    Standing,
    Stratum,
    StratumRule,
    Test,
    declare_thresholds,
    plan_acceptance,
    smallest_sample,
    standing,
    stratum_level,
)
from curation_db.trust.evidence import Item, audit_items, items_of, judge_of, split_by_image, undecided_items
from curation_db.trust.judge_score import JudgeScore, fit_judge_score

_ACCEPTED = text(f"""
    SELECT DISTINCT e.candidate_id FROM event e
    JOIN candidate_state s ON s.candidate_id = e.candidate_id
    WHERE e.actor = :actor AND e.kind = 'accept' AND s.state = '{State.ACCEPTED}' AND s.accepts = 0 AND s.rejects = 0
      AND NOT EXISTS (SELECT 1 FROM event w WHERE w.candidate_id = e.candidate_id AND w.seq > e.seq
                      AND (w.kind IN ('requeue', 'adjudicate') OR (w.actor = e.actor AND w.kind = 'withdraw')))
    ORDER BY e.candidate_id
""")
LEAST_FITTED: Final = 30
"""Labels that the fit of a score needs at least."""
_NAME: Final = "policy/"
_AT_ONCE: Final = 5_000
"""Acceptances in one transaction: annotators wait for it, about 0.3 s."""

Progress = Callable[[int, int], None]
_Scored = tuple[Item, float]
"""A candidate and its P(right)."""


class NotEnoughLabels(RecordError):
    """The audit has too few labels to fit a score."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A declared policy."""

    claim: Claim
    target: float
    confidence: float
    looks: tuple[int, ...] | None
    """Declared looks, as numbers of testing labels; None: running audit."""
    score: JudgeScore
    thresholds: dict[str, tuple[float, ...]]
    """By stratum, falling."""
    newest: int
    """Id of the newest candidate at the declaration: later ones are another population."""

    @property
    def version(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @property
    def actor(self) -> str:
        """Name of the actor of its events."""
        return f"accept@{self.version}"

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, stored: str) -> Policy:
        values: dict[str, Any] = parse_json(stored)
        score = values["score"]
        return cls(
            claim=Claim(values["claim"]),
            target=values["target"],
            confidence=values["confidence"],
            looks=None if values["looks"] is None else tuple(values["looks"]),
            score=JudgeScore(
                tuple(score["judges"]), tuple(score["checks"]), tuple(score["weights"]), score["intercept"]
            ),
            thresholds={name: tuple(each) for name, each in values["thresholds"].items()},
            newest=values["newest"],
        )


@dataclass(frozen=True, slots=True)
class PlannedStratum:
    rule: StratumRule
    audit: int
    """Candidates of its audit set that test it, labelled or not."""
    undecided: int
    accepted: tuple[int, ...]
    """Ids of the candidates that the policy may accept now; empty while the rule is suspended or refuted."""
    applied: Test | None
    """The loosest certified threshold whose bound still holds; None: nothing is accepted."""
    standing: Standing | None
    """Of that threshold, or else of the loosest certified one, with all labels so far; None: none is certified."""


@dataclass(frozen=True, slots=True)
class AcceptancePlan:
    """A policy with the labels so far: what it may accept, and what further labels would allow."""

    policy: Policy
    labels: int
    """Labels that test thresholds."""
    strata: tuple[PlannedStratum, ...]
    later: int
    """Undecided candidates that are newer than the declaration."""
    other: int
    """Undecided candidates in a stratum with too small an audit set, or without a verdict of the policy's judges."""

    @property
    def accepted(self) -> list[int]:
        return sorted(number for each in self.strata for number in each.accepted)


@dataclass(frozen=True, slots=True)
class AcceptedLabels:
    """The audit labels above the lowest score that a policy accepted in a stratum."""

    labels: int
    wrong: int
    bound: float
    """Lower bound of the precision at the confidence of the stratum; with declared looks the one of a single look."""


@dataclass(frozen=True, slots=True)
class PolicyReview:
    """A policy with acceptances in effect, in the light of all labels."""

    policy: Policy
    accepted: tuple[int, ...]
    """Candidates that it accepted and did not withdraw."""
    standings: dict[str, Standing]
    """By stratum."""
    evidence: dict[str, AcceptedLabels]
    """By stratum."""
    refuted: tuple[int, ...]
    """Acceptances to withdraw: their stratum is refuted."""
    outdated: tuple[int, ...]
    """Acceptances to withdraw: another model or prompt has judged them since."""

    @property
    def withdrawn(self) -> tuple[int, ...]:
        """All acceptances to withdraw."""
        return tuple(sorted((*self.refuted, *self.outdated)))

    @property
    def bound(self) -> float | None:
        """Smallest bound of a stratum; None: no acceptance has current verdicts."""
        return min((each.bound for each in self.evidence.values()), default=None)


def declare(
    connection: Connection,
    claim: Claim,
    target: float,
    *,
    confidence: float,
    looks: Sequence[int] | None = None,
) -> Policy:
    """Return a new policy for the candidates of the record; nothing is stored. Raises as `declare_policy`."""
    newest = connection.execute(text("SELECT coalesce(max(id), 0) FROM candidate")).scalar_one()
    audit, undecided = audit_items(connection, claim), list(undecided_items(connection))
    return declare_policy(audit, undecided, claim, target, confidence=confidence, looks=looks, newest=newest)


def declare_policy(
    audit_set: Sequence[Item],
    undecided: Sequence[Item],
    claim: Claim,
    target: float,
    *,
    confidence: float,
    looks: Sequence[int] | None = None,
    newest: int,
) -> Policy:
    """Return a policy for these candidates: fit the score, and choose the thresholds by scores alone.

    Raises:
        NotEnoughLabels: too few labels to fit the score, or all of them agree.
        RecordError: no stratum has undecided candidates and a large enough audit set, or a look is too early.
    """
    fitted, testing = split_by_image(audit_set)
    labelled = [item for item in fitted if item.right is not None and item.evidence.judges]
    right = [bool(item.right) for item in labelled]
    if len(labelled) < LEAST_FITTED or len(set(right)) < 2:
        raise NotEnoughLabels(
            f"the score of the judges needs {LEAST_FITTED} audit labels of judged candidates, of both kinds, on the"
            f" images set aside for it; there are {len(labelled)} ({sum(right)} right)",
            hint="label the audit set, about three times as many: negwb curate --stream audit",
        )
    given = sum(item.right is not None for item in testing)
    if looks is not None and (not looks or looks[0] <= given):
        raise RecordError(f"a look at {looks[0] if looks else 0} labels is too late: {given} are given already")
    score = fit_judge_score([item.evidence for item in labelled], right)
    audit, open_items = _by_stratum(testing, score), _by_stratum(undecided, score)
    running = looks is None
    names = sorted(audit.keys() & open_items.keys())
    least = smallest_sample(target, level=stratum_level(confidence, len(names)), running=running)
    names = [name for name in names if len(audit[name]) >= least]  # the others could never be certified
    if not names:
        raise RecordError(
            f"no stratum has undecided candidates and an audit set of {least} judged candidates, which a certificate"
            " without errors needs",
            hint="raise [curate] audit_rate before the next import, or lower --precision",
        )
    level = stratum_level(confidence, len(names))
    thresholds = {}
    for name in names:
        chosen = declare_thresholds(
            _scores(open_items[name]), _scores(audit[name]), target, level=level, running=running
        )
        thresholds[name] = tuple(chosen)
    return Policy(claim, target, confidence, None if looks is None else tuple(looks), score, thresholds, newest)


def plan(connection: Connection, policy: Policy) -> AcceptancePlan:
    """Test the thresholds of a policy with the labels of the record so far."""
    return plan_policy(policy, audit_items(connection, policy.claim), list(undecided_items(connection)))


def plan_policy(policy: Policy, audit_set: Sequence[Item], undecided: Sequence[Item]) -> AcceptancePlan:
    """Test the thresholds of a policy with the labels of the audit set."""
    testing = _of_population(policy, split_by_image(audit_set)[1])
    labelled = [item for item in testing if item.right is not None]
    numbers = {item.candidate_id: number for number, item in enumerate(labelled, 1)}
    current = _of_population(policy, undecided)
    audit, open_items = _by_stratum(testing, policy.score), _by_stratum(current, policy.score)
    strata = [
        Stratum(
            name,
            thresholds,
            _scores(open_items.get(name, ())),
            [
                AuditLabel(p, bool(item.right), numbers[item.candidate_id])
                for item, p in audit.get(name, ())
                if item.candidate_id in numbers
            ],
        )
        for name, thresholds in policy.thresholds.items()
    ]
    rules = plan_acceptance(strata, policy.target, confidence=policy.confidence, looks=policy.looks)
    planned = [_planned(policy, rule, audit.get(rule.name, []), open_items.get(rule.name, [])) for rule in rules]
    other = len(current) - sum(each.undecided for each in planned)
    return AcceptancePlan(policy, len(labelled), tuple(planned), len(undecided) - len(current), other)


def _planned(policy: Policy, rule: StratumRule, labels: Sequence[_Scored], items: Sequence[_Scored]) -> PlannedStratum:
    """Apply the loosest certified threshold whose bound still holds."""
    standings = [
        (test, _standing(policy, rule.confidence, labels, test.threshold))
        for test in reversed(rule.tests)
        if test.certified
    ]
    applied = next((test for test, each in standings if each is Standing.HOLDS), None)
    current_standing = Standing.HOLDS if applied else standings[0][1] if standings else None
    accepted = tuple(item.candidate_id for item, p in items if applied and p >= applied.threshold)
    return PlannedStratum(rule, len(labels), len(items), accepted, applied, current_standing)


def _scores(items: Iterable[_Scored]) -> list[float]:
    return [p for _, p in items]


def store_declaration(store: Store, policy: Policy) -> int:
    """Store a declaration, unless it is stored already; return the number of declarations of the record.

    It is stored before anyone sees what its labels certify: a declaration that is replaced because of its result is
    one more test, and the confidence holds for each test alone.
    """
    with store.write() as connection:
        connection.execute(
            text("INSERT INTO record_note(name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING"),
            {"name": _NAME + policy.actor, "value": policy.to_json()},
        )
        return len(stored_policies(connection))


def accept(store: Store, planned: AcceptancePlan, *, progress: Progress = lambda _done, _total: None) -> int:
    """Accept what the plan covers; return the number of new acceptances.

    Each transaction leaves out what was decided meanwhile. After a crash the next plan contains the rest.
    """
    store_declaration(store, planned.policy)
    writer, done, total = DecisionWriter(store, actor_of(planned.policy)), 0, len(planned.accepted)
    for part in batches(planned.accepted, _AT_ONCE):
        done += writer.decide_many(part, Kind.ACCEPT).preview.changing
        progress(min(total, done), total)
    return done


def stored_policies(connection: Connection) -> list[Policy]:
    """Return the policies that the record stores, the newest last.

    Raises:
        RecordError: a declaration is damaged.
    """
    rows = connection.execute(
        text("SELECT name, value FROM record_note WHERE name LIKE :pattern ORDER BY rowid"), {"pattern": _NAME + "%"}
    )
    policies = []
    for row in rows:
        try:
            policies.append(Policy.from_json(row.value))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RecordError(
                f"the declaration of {row.name.removeprefix(_NAME)} in the record is damaged: {error!r}",
                hint="restore a backup: negwb backup --list",
            ) from error
    return policies


def review(connection: Connection, policy: Policy) -> PolicyReview:
    """Test a policy with the labels on its testing images, and find its acceptances that must be withdrawn.

    Labels of candidates that are newer than the policy do not count, as in `plan`: they are of another population.
    """
    accepted = list(items_of(connection, connection.execute(_ACCEPTED, {"actor": policy.actor}).scalars()))
    scored = _by_stratum(accepted, policy.score)
    _, testing = split_by_image(audit_items(connection, policy.claim))
    audit = _by_stratum(_of_population(policy, testing), policy.score)
    level = stratum_level(policy.confidence, len(policy.thresholds))
    standings, evidence = {}, {}
    for name, items in scored.items():
        threshold = min(p for _, p in items)
        standings[name] = _standing(policy, level, audit.get(name, ()), threshold)
        evidence[name] = _evidence(policy, level, audit.get(name, ()), threshold)
    current = {item.candidate_id: name for name, items in scored.items() for item, _ in items}
    numbers = tuple(item.candidate_id for item in accepted)
    return PolicyReview(
        policy,
        numbers,
        standings,
        evidence,
        tuple(number for number, name in sorted(current.items()) if standings[name] is Standing.REFUTED),
        tuple(number for number in numbers if number not in current),
    )


def withdraw(store: Store, reviewed: PolicyReview) -> int:
    """Withdraw the acceptances that the review names; the candidates return to the queue."""
    writer, done = DecisionWriter(store, actor_of(reviewed.policy)), 0
    for part in batches(reviewed.withdrawn, _AT_ONCE):
        done += writer.withdraw_many(part)
    return done


def _standing(policy: Policy, level: float, audit: Iterable[_Scored], threshold: float) -> Standing:
    """Return the standing of a threshold with all labels above it."""
    right, wrong = _count(audit, threshold)
    return standing(right, wrong, policy.target, confidence=level, running=policy.looks is None)


def _evidence(policy: Policy, level: float, audit: Iterable[_Scored], threshold: float) -> AcceptedLabels:
    """Return the labels above a threshold, with the bound of the precision."""
    right, wrong = _count(audit, threshold)
    if policy.looks is None:
        bound = running_audit.lower_bound(right, wrong, confidence=level)
    else:
        bound = exact_lower(right, right + wrong, level=level) if right else 0.0
    return AcceptedLabels(right + wrong, wrong, bound)


def _count(audit: Iterable[_Scored], threshold: float) -> tuple[int, int]:
    """Return the numbers of right and of wrong labels above a threshold."""
    right = [item.right for item, p in audit if p >= threshold and item.right is not None]
    return right.count(True), right.count(False)


def _of_population(policy: Policy, items: Iterable[Item]) -> list[Item]:
    """Return the candidates that the record had at the declaration: later ones are another population."""
    return [item for item in items if item.candidate_id <= policy.newest]


def _by_stratum(items: Iterable[Item], score: JudgeScore) -> dict[str, list[_Scored]]:
    """Return the items that the score covers, with P(right), by stratum."""
    covered = [item for item in items if _is_covered(item, score)]
    grouped: dict[str, list[_Scored]] = defaultdict(list)
    for item, p in zip(covered, score.apply([item.evidence for item in covered]), strict=True):
        grouped[item.stratum].append((item, p))
    return grouped


def _is_covered(item: Item, score: JudgeScore) -> bool:
    """Return whether a judge of the score has a verdict on the item, and none under another model or prompt."""
    known = set(score.judges)
    asked = {judge_of(key)[:2] for key in known}
    current = [key in known for key in item.evidence.judges if judge_of(key)[:2] in asked]
    return bool(current) and all(current)


def actor_of(policy: Policy) -> Actor:
    """Return the actor of the policy's events, in a session of its own."""
    return Actor(policy.actor, 0, Role.POLICY, uuid7())
