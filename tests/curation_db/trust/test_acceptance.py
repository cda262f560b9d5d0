"""The walk over thresholds: its guarantee by simulation, and its parts by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_db.trust.acceptance import (
    AuditLabel,
    Standing,
    Stratum,
    declare_thresholds,
    ever_certified,
    plan_acceptance,
    smallest_sample,
    standing,
)
from curation_db.trust.running_audit import certifies

TARGET = 0.95


Values = Callable[[np.ndarray], np.ndarray]
LOOKS = {"running": None, "one look": (1200,), "six looks": (200, 400, 600, 800, 1000, 1200)}
WORLDS: dict[str, tuple[Values, Values]] = {
    "calibrated": (lambda u: u, lambda u: u),
    "too sure": (lambda u: 0.9495 + 0 * u, lambda u: 0.97 + 0.02 * u),  # no threshold is right: the hardest case
    "steep": (lambda u: np.where(u > 0.4, 0.99, 0.6), lambda u: np.where(u > 0.4, 0.985, 0.6) + 0.01 * u),
}
"""P(right) and the score of a candidate with the uniform number u."""


def world(draw: np.random.Generator, n: int, labelled: int, kind: str, *, running: bool) -> Stratum:
    """A stratum of n candidates, of which a random sample is labelled."""
    truth, score = WORLDS[kind]
    u = draw.random(n)
    scores, right = score(u), draw.random(n) < truth(u)
    audit = draw.choice(n, labelled, replace=False)
    labels = [AuditLabel(float(scores[each]), bool(right[each]), number) for number, each in enumerate(audit, 1)]
    return stratum([float(each) for each in scores], [label.score for label in labels], labels, running=running)


def stratum(scores: list[float], audit: list[float], labels: list[AuditLabel], *, running: bool = True) -> Stratum:
    return Stratum("s", declare_thresholds(scores, audit, TARGET, running=running), scores, labels)


def violations(runs: int, looks: tuple[int, ...] | None, kind: str) -> tuple[float, float]:
    """Return the share of runs whose rule is below the target, and the mean share that is accepted."""
    below, accepted = 0, 0.0
    truth, score = WORLDS[kind]
    u = np.linspace(0, 1, 20_001)
    for seed in range(runs):
        drawn = world(np.random.default_rng(seed), 2000, 1200, kind, running=looks is None)
        rule = plan_acceptance([drawn], TARGET, looks=looks)[0].in_force
        if rule is not None:
            below += truth(u)[score(u) >= rule.threshold].mean() < TARGET
            accepted += rule.accepted / 2000
    return below / runs, accepted / runs


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("looking", list(LOOKS))
@pytest.mark.parametrize("kind", list(WORLDS))
def test_the_promised_precision_is_reached_in_the_promised_share_of_500_runs(looking: str, kind: str) -> None:
    """In the running mode each label is a look: any prefix of the labels may certify a threshold."""
    below, accepted = violations(500, LOOKS[looking], kind)
    assert below <= 0.05 + 0.02  # two standard errors of 500 runs
    if kind == "steep":
        assert accepted > 0.55


def test_a_few_runs_of_each_mode() -> None:
    for looks in LOOKS.values():
        below, accepted = violations(20, looks, "steep")
        assert below <= 0.1
        assert accepted > 0.5


def test_thresholds_fall_and_start_at_the_safest_test() -> None:
    """Scores from 0 to 1: with 10 labels a candidate, the mean score of the first threshold is clearly above .9."""
    scores = [float(score) for score in np.linspace(0, 1, 1001)]
    tested = declare_thresholds(scores, scores * 10, 0.9)
    assert tested == sorted(tested, reverse=True)
    assert 0.9 < tested[0] < 0.98
    assert tested[-1] == 0.0
    assert declare_thresholds([], [], 0.9) == []
    assert declare_thresholds([0.5] * 10, [], 0.9) == [0.5]


def test_perfect_scores_test_as_much_as_the_audit_set_allows() -> None:
    """Half of the candidates are right for sure, the others wrong for sure."""
    scores = [1.0] * 500 + [0.0] * 500
    assert declare_thresholds(scores, scores, TARGET) == [1.0, 0.0]
    mixed = [0.9999] * 250 + [0.9998] * 250 + [0.5] * 500
    assert declare_thresholds(mixed, mixed, TARGET)[0] == 0.9998, "more labels at the same promise are safer"


def test_a_sample_allows_for_errors() -> None:
    assert [smallest_sample(TARGET, errors) for errors in (0, 1, 5)] == [88, 134, 277]
    assert [smallest_sample(TARGET, errors, running=False) for errors in (0, 1, 5)] == [59, 93, 208]


def test_the_walk_stops_at_the_first_threshold_that_is_not_certified() -> None:
    """Right above 0.5, wrong below."""
    scores = [float(score) for score in np.linspace(0, 1, 1000)]
    labels = [AuditLabel(score, score > 0.5, n) for n, score in enumerate(scores, 1)]
    for looks in (None, (1000,), (500, 1000)):
        rule = plan_acceptance([stratum(scores, scores, labels, running=not looks)], TARGET, looks=looks)[0]
        assert rule.in_force is not None
        assert rule.next is not None
        assert 0.45 <= rule.in_force.threshold <= 0.51
        assert rule.in_force.bound >= TARGET
        assert (rule.in_force.missing, rule.next.certified) == (0, False)
        assert rule.next.bound < TARGET
        assert rule.next.missing > 0
        assert rule.in_force.accepted == sum(score >= rule.in_force.threshold for score in scores)


def test_strata_share_the_error_probability() -> None:
    one = Stratum("s", [0.99], [0.99] * 100, [AuditLabel(0.99, True, n) for n in range(1, 60)])
    assert plan_acceptance([one], TARGET, looks=(59,))[0].in_force is not None
    two = plan_acceptance([one, one], TARGET, looks=(59,))
    assert [each.in_force for each in two] == [None, None]
    assert two[0].confidence == pytest.approx(0.975)
    assert two[0].next is not None
    assert two[0].next.missing == 72 - 59  # ln 0.025 / ln 0.95 = 71.9


def test_labels_count_from_the_declared_look_that_includes_them() -> None:
    def rule(right: int, looks: tuple[int, ...]) -> tuple[int, bool]:
        labels = [AuditLabel(0.99, True, n) for n in range(1, right + 1)]
        test = plan_acceptance([Stratum("s", [0.99], [0.99] * 100, labels)], TARGET, looks=looks)[0].tests[0]
        return test.labels, test.certified

    assert rule(58, (59,)) == (0, False)
    assert rule(59, (59,)) == (59, True)
    assert rule(99, (59, 100)) == (59, False), "the first of two looks has its share of the error probability"
    assert rule(100, (59, 100)) == (100, True)
    assert rule(99, (80, 100)) == (80, True)


def test_the_missing_labels_certify_at_the_next_look() -> None:
    labels = [AuditLabel(0.99, n > 2, n) for n in range(1, 301)]
    outcomes = set()
    for more in (10, 30, 60, 120, 200):
        looks = (100, 100 + more)
        at_first, at_last = (
            plan_acceptance([Stratum("s", [0.99], [0.99] * 100, labels[:count])], TARGET, looks=looks)[0].tests[0]
            for count in looks
        )
        assert not at_first.certified
        assert at_last.certified == (at_first.missing <= more)
        outcomes.add(at_last.certified)
    assert outcomes == {False, True}


def test_without_labels_or_candidates_nothing_is_accepted() -> None:
    rules = plan_acceptance([Stratum("a", [0.99], [0.99] * 5, []), Stratum("b", [], [], [])], TARGET)
    assert [each.in_force for each in rules] == [None, None]
    assert rules[0].next is not None
    assert (rules[0].next.labels, rules[0].next.bound) == (0, 0.0)
    assert plan_acceptance([], TARGET) == ()
    with pytest.raises(ValueError, match="between 0 and 1"):
        plan_acceptance([], 1.0)


@given(st.lists(st.floats(0, 1).map(lambda p: p > 0.04), max_size=250), st.floats(0.6, 0.97))
def test_ever_certified_equals_a_look_after_each_label(answers: list[bool], target: float) -> None:
    looks = (answers[:count] for count in range(1, len(answers) + 1))
    seen = any(certifies(part.count(True), part.count(False), target, confidence=0.9) for part in looks)
    assert ever_certified(answers, target, 0.9) == seen


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        (88, 0, Standing.HOLDS),
        (87, 0, Standing.SUSPENDED),
        (133, 1, Standing.HOLDS),
        (132, 2, Standing.SUSPENDED),
        (80, 20, Standing.REFUTED),
        (0, 0, Standing.SUSPENDED),
    ],
)
def test_the_standing_of_a_rule(right: int, wrong: int, expected: Standing) -> None:
    assert standing(right, wrong, TARGET) is expected


def test_a_rule_of_declared_looks_holds_by_the_exact_bound() -> None:
    assert standing(59, 0, TARGET, running=False) is Standing.HOLDS
    assert standing(59, 1, TARGET, running=False) is Standing.SUSPENDED
    assert standing(80, 20, TARGET, running=False) is Standing.REFUTED
