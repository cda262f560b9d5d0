"""Reliability figures and fits, against scikit-learn and hand-computed cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from curation_db.trust.calibration import LogitScale, fit_platt, fit_temperature, log_odds, reliability
from curation_db.trust.judge_score import KNOTS, Evidence, fit_judge_score


def overconfident(n: int, temperature: float, seed: int = 0) -> tuple[list[float], list[bool]]:
    """Outcomes drawn from probabilities, and those probabilities at a false temperature."""
    draw = np.random.default_rng(seed)
    odds = draw.normal(0.5, 1.5, n)
    right = draw.random(n) < 1 / (1 + np.exp(-odds))
    return [float(p) for p in 1 / (1 + np.exp(-odds / temperature))], [bool(each) for each in right]


def test_four_items_by_hand() -> None:
    shown = reliability([0.1, 0.15, 0.9, 1.0], [False, True, True, True], bins=10)
    assert [(each.low, each.high, each.n) for each in shown.bins] == [(0.1, 0.2, 2), (0.9, 1.0, 2)]
    assert [each.predicted for each in shown.bins] == pytest.approx([0.125, 0.95])
    assert [each.observed.estimate for each in shown.bins] == pytest.approx([0.5, 1.0])
    assert shown.ece == pytest.approx((0.375 + 0.05) / 2)
    assert shown.brier == pytest.approx((0.01 + 0.7225 + 0.01 + 0) / 4)
    assert shown.discrimination == 1.0
    assert shown.base_rate == 0.75


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.floats(0.1, 10)), min_size=1, max_size=60),
)
def test_scores_equal_scikit_learns(items: list[tuple[int, bool, float]]) -> None:
    p, y, w = [each[0] / 20 for each in items], [each[1] for each in items], [each[2] for each in items]
    shown = reliability(p, y, weights=w)
    assert shown.brier == pytest.approx(brier_score_loss(y, p, sample_weight=w, labels=[False, True]))
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    assert shown.log_loss == pytest.approx(log_loss(y, clipped, sample_weight=w, labels=[False, True]))
    if len(set(y)) == 2:
        assert shown.discrimination == pytest.approx(roc_auc_score(y, p, sample_weight=w))
    else:
        assert math.isnan(shown.discrimination)
    assert sum(each.n for each in shown.bins) == len(items)


def test_a_temperature_is_recovered() -> None:
    p, y = overconfident(20_000, 0.4)
    fitted = fit_temperature(p, y)
    assert fitted.temperature == pytest.approx(1 / 0.4, rel=0.05)
    assert reliability(fitted.apply(p), y).ece < 0.02 < reliability(p, y).ece


def test_the_fits_are_the_maxima_of_the_likelihood() -> None:
    p, y = overconfident(500, 0.5, seed=3)
    odds, right = log_odds(p), np.array(y, dtype=float)

    def loss(slope: float, intercept: float, targets: np.ndarray) -> float:
        return float(np.sum(np.logaddexp(0, slope * odds + intercept) - targets * (slope * odds + intercept)))

    best = minimize(lambda each: loss(each[0], 0.0, right), [1.0], method="Nelder-Mead", tol=1e-10)
    assert fit_temperature(p, y).slope == pytest.approx(best.x[0], rel=1e-4)
    n = right.sum()
    smoothed = np.where(right > 0, (n + 1) / (n + 2), 1 / (len(y) - n + 2))
    best = minimize(lambda each: loss(each[0], each[1], smoothed), [1.0, 0.0], method="Nelder-Mead", tol=1e-12)
    fitted = fit_platt(p, y)
    assert [fitted.slope, fitted.intercept] == pytest.approx(list(best.x), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("fit", [fit_temperature, fit_platt])
def test_labels_that_tell_nothing_or_all_give_a_finite_fit(fit) -> None:
    assert fit([], []) == LogitScale()
    assert fit([0.2, 0.9], [True, True]) == LogitScale()
    separable = fit([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
    assert 0 < separable.slope <= 100
    reversed_order = fit([0.1, 0.2, 0.8, 0.9], [True, True, False, False])
    assert reversed_order.slope > 0, "a calibration keeps the order"


@pytest.mark.parametrize(
    ("p", "y", "w", "problem"),
    [
        ([0.5], [], None, "belong together"),
        ([1.5], [True], None, r"outside 0\.\.1"),
        ([math.nan], [True], None, r"outside 0\.\.1"),
        ([0.5], [True], [0.0], "positive"),
        ([0.5], [True], [math.inf], "positive"),
    ],
)
def test_wrong_input_is_refused(p: list[float], y: list[bool], w: list[float] | None, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        reliability(p, y, weights=w)


def test_no_items_have_no_figures() -> None:
    shown = reliability([], [])
    assert (shown.n, shown.bins) == (0, ())
    assert math.isnan(shown.brier)


class TestJudgeScore:
    def drawn(self, n: int, seed: int = 0) -> tuple[list[Evidence], list[bool]]:
        draw = np.random.default_rng(seed)
        evidence, right = [], []
        for _ in range(n):
            truth = bool(draw.random() < 0.6)
            odds = 2.0 * (truth - 0.5)
            judges = {name: float(1 / (1 + math.exp(-draw.normal(odds * s, 1)))) for name, s in (("a", 1), ("b", 0.5))}
            if draw.random() < 0.3:
                del judges["b"]
            fires = draw.random() < (0.05 if truth else 0.3)
            evidence.append(Evidence(judges, frozenset({"scope"} if fires else ())))
            right.append(truth)
        return evidence, right

    def test_the_weights_equal_scikit_learns_ridge_regression(self) -> None:
        evidence, right = self.drawn(400)
        fitted = fit_judge_score(evidence, right, penalty=2.0)
        x = np.array(
            [
                [
                    *(odds := [log_odds([each.judges.get(judge, 0.5)])[0] for judge in ("a", "b")]),
                    *(max(each_odds - knot, 0) for knot in KNOTS for each_odds in odds),
                    *(float(judge not in each.judges) for judge in ("a", "b")),
                    float("scope" in each.checks),
                ]
                for each in evidence
            ]
        )
        theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(x, right)
        assert fitted.weights == pytest.approx(list(theirs.coef_[0]), abs=1e-3)
        assert fitted.intercept == pytest.approx(theirs.intercept_[0], abs=1e-3)
        assert fitted.apply(evidence) == pytest.approx(list(theirs.predict_proba(x)[:, 1]), abs=1e-3)

    def test_two_judges_and_a_check_order_better_than_one(self) -> None:
        evidence, right = self.drawn(2000)
        fresh, truth = self.drawn(2000, seed=1)
        scores = fit_judge_score(evidence, right).apply(fresh)
        single = reliability([each.judges["a"] for each in fresh], truth).discrimination
        assert reliability(scores, truth).discrimination > single + 0.02
        assert reliability(scores, truth).ece < 0.05

    def test_it_ignores_what_it_never_saw(self) -> None:
        evidence, right = self.drawn(100)
        fitted = fit_judge_score(evidence, right)
        plain, strange = Evidence({"a": 0.8}), Evidence({"a": 0.8, "new": 0.0}, frozenset({"unknown"}))
        assert fitted.apply([plain]) == fitted.apply([strange])
        assert fitted.apply([]) == []
        with pytest.raises(ValueError, match="cannot be fitted"):
            fit_judge_score([], [])

    def test_separable_labels_give_finite_weights(self) -> None:
        evidence = [Evidence({"a": 0.01}), Evidence({"a": 0.99})] * 20
        fitted = fit_judge_score(evidence, [False, True] * 20)
        assert all(math.isfinite(each) for each in (*fitted.weights, fitted.intercept))
        assert fitted.apply([Evidence({"a": 0.99})])[0] > 0.9


def test_the_interval_of_a_weighted_share_covers_the_share_of_the_corpus() -> None:
    """Of 10 rare labels (each for 20 items) 6 are right, of 100 others (each for 2 items) 95."""
    outcomes = [True] * 6 + [False] * 4 + [True] * 95 + [False] * 5
    shown = reliability([0.9] * 110, outcomes, weights=[20.0] * 10 + [2.0] * 100).bins[-1].observed
    assert shown.estimate == pytest.approx((6 * 20 + 95 * 2) / 400)
    # Kish: 400^2 / (10 * 20^2 + 100 * 2^2) = 36.36 labels; statsmodels' proportion_confint(28.18, 36.36, wilson)
    expected = proportion_confint(0.775 * 400 / 11, 400 / 11, method="wilson")
    assert (shown.low, shown.high) == pytest.approx(expected)
    equal = reliability([0.9] * 110, outcomes, weights=[3.0] * 110).bins[-1].observed
    assert (equal.low, equal.high) == pytest.approx(proportion_confint(101, 110, method="wilson"))
