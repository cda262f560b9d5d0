"""What automatic acceptance saves in the demo world, and whether it reaches the promised precision there.

Each seed is a world of its own: scenes, captions, proposals and simulated judges, without images and without a record.
A part of the candidates is the audit set, labelled by the ground truth; the policy is the one of `negwb accept`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from curation_db.enums import Claim, Kind, Question
from curation_db.errors import RecordError
from curation_db.language.clip_tokenizer import count_tokens
from curation_db.lint.index import INDEXED_RULES
from curation_db.lint.linter import LintSubject, lint
from curation_db.stats.intervals import student_t
from curation_db.trust.evidence import Item, judge_key
from curation_db.trust.judge_score import Evidence
from curation_db.trust.policy import declare_policy, plan_policy
from workbench.demo.simulation.corpus import SEED, DemoCandidate, DemoImage, make_corpus
from workbench.demo.simulation.oracle import right_decision

SEEDS: Final = 20
PICTURES: Final = 2_200
"""Give about 3,000 candidates that the judges pass."""
AUDIT_SHARE: Final = 0.3
TARGET: Final = 0.9
"""The simulated judges reach .97 at most, so that .95 would need more labels than there are candidates."""
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class AcceptanceTrial:
    """The result of one world."""

    candidates: int
    audit: int
    accepted: int
    right: int
    """Acceptances that the ground truth accepts."""
    bound: float | None
    """Smallest certified lower bound of a stratum; None: nothing is accepted."""

    @property
    def saved(self) -> float:
        """Share of decisions that people need not make: 1 - (audit + reviewed) / candidates."""
        return self.accepted / self.candidates

    @property
    def holds(self) -> bool:
        """Whether the precision is reached, or nothing is accepted."""
        return self.right >= TARGET * self.accepted


def acceptance_trial(seed: int, *, pictures: int = PICTURES) -> AcceptanceTrial:
    """Declare and apply a policy in the world of this seed."""
    draw = random.Random(seed)
    items = world_items(seed, pictures)
    audit: list[Item] = []
    undecided: list[Item] = []
    for item in items:
        (audit if draw.random() < AUDIT_SHARE else undecided).append(item)
    truth = {item.candidate_id: bool(item.right) for item in items}
    try:
        policy = declare_policy(audit, undecided, Claim.ACCEPTABLE, TARGET, confidence=CONFIDENCE, newest=len(items))
    except RecordError:  # too few labels
        return AcceptanceTrial(len(items), len(audit), 0, 0, None)
    plan = plan_policy(policy, audit, undecided)
    bounds = [each.applied.bound for each in plan.strata if each.applied]
    right = sum(truth[number] for number in plan.accepted)
    return AcceptanceTrial(len(items), len(audit), len(plan.accepted), right, min(bounds, default=None))


def world_items(seed: int, pictures: int) -> list[Item]:
    """Return the candidates that the judges of a world pass, each with its true label."""
    items: list[Item] = []
    for image in make_corpus(pictures=pictures, seed=SEED + seed):
        for candidate in image.passed:
            kind, _ = right_decision(image.scene, candidate.proposal)
            number = len(items) + 1
            stratum = f"{candidate.proposal.pipeline}/{candidate.proposal.negation_type}"
            evidence = _evidence(image, candidate)
            items.append(Item(number, image.index, stratum, evidence, right=kind is Kind.ACCEPT, seq=number))
    return items


def _evidence(image: DemoImage, candidate: DemoCandidate) -> Evidence:
    judges = {
        judge_key(verdict.judge, Question.PRESENT, "script", "demo"): 1 - verdict.p_present
        for verdict in candidate.verdicts
    }
    proposal, captions = candidate.proposal, [caption.text for caption in image.captions]
    subject = LintSubject(
        text=proposal.text,
        concept=proposal.concept,
        tokens=count_tokens(proposal.text),
        caption=captions[candidate.caption],
        siblings=tuple(text for number, text in enumerate(captions) if number != candidate.caption),
        objects={},
    )
    return Evidence(judges, frozenset(str(found.rule) for found in lint(subject, INDEXED_RULES) if not found.ok))


def measure(
    seeds: int = SEEDS, *, pictures: int = PICTURES, progress: Callable[[int, int], None] = lambda _done, _of: None
) -> dict[str, Any]:
    """Return the figures of `seeds` worlds: shares in 0..1, intervals at 95 % over the seeds."""
    trials = []
    for seed in range(seeds):
        trials.append(acceptance_trial(seed, pictures=pictures))
        progress(seed + 1, seeds)
    saved = student_t([each.saved for each in trials])
    accepted = sum(each.accepted for each in trials)
    return {
        "target": TARGET,
        "confidence": CONFIDENCE,
        "seeds": seeds,
        "candidates": round(sum(each.candidates for each in trials) / seeds),
        "audit": round(sum(each.audit for each in trials) / seeds),
        "precision_bound": min((each.bound for each in trials if each.bound is not None), default=None),
        "true_precision": sum(each.right for each in trials) / accepted if accepted else None,
        "seeds_below_target": sum(not each.holds for each in trials),
        "decisions_saved": saved.estimate,
        "decisions_saved_95": [saved.low, saved.high],
    }


def acceptance_line(figures: dict[str, Any]) -> str:
    """Return the figures of `measure` in one line."""
    low, high = figures["decisions_saved_95"]
    precision = figures["true_precision"]
    reached = "nothing is accepted" if precision is None else f"{100 * precision:.0f} % of the accepted ones are right"
    return (
        f"Automatic acceptance at a precision of {figures['target']:g}, in {figures['seeds']} simulated worlds of"
        f" {figures['candidates']:,} candidates with {figures['audit']:,} audit labels: it saves"
        f" {100 * figures['decisions_saved']:.0f} % ({100 * low:.0f} to {100 * high:.0f}) of the decisions, and"
        f" {reached}."
    )
