"""The line between two models, its scores, and the choice of a point on it."""

from __future__ import annotations

import pytest
import torch

from trainers.loop.interpolation import alpha_grid, choose_alpha, interpolate, sweep

BASE = {"a": torch.tensor([0.1, -3.0]), "scale": torch.tensor(4.6)}
TUNED = {"a": torch.tensor([0.7, 5.0]), "scale": torch.tensor(4.7)}


def test_the_grid_has_the_ends_and_round_numbers() -> None:
    assert alpha_grid() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert alpha_grid(0.25) == [0.0, 0.1, 0.2, 0.25]
    assert alpha_grid(0.3) == [0.0, 0.1, 0.2, 0.3]
    assert alpha_grid(step=0.25) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert alpha_grid(step=0.4) == [0.0, 0.4, 0.8, 1.0]
    for largest, step in ((0.0, 0.1), (1.5, 0.1), (float("nan"), 0.1), (1.0, 0.0), (1.0, 2.0)):
        with pytest.raises(ValueError, match="must be in"):
            alpha_grid(largest, step=step)


def test_both_ends_are_exact_and_the_middle_is_linear() -> None:
    for alpha, end in ((0.0, BASE), (1.0, TUNED)):
        assert all(torch.equal(value, end[name]) for name, value in interpolate(BASE, TUNED, alpha).items())
    torch.testing.assert_close(interpolate(BASE, TUNED, 0.25)["a"], torch.tensor([0.25, -1.0]))
    assert torch.equal(BASE["a"], torch.tensor([0.1, -3.0])), "the inputs stay"


def test_weights_of_other_models_are_refused() -> None:
    with pytest.raises(ValueError, match="only one of the models has scale"):
        interpolate(BASE, {"a": TUNED["a"]}, 0.5)
    with pytest.raises(ValueError, match=r"a has the shapes \(2,\) and \(3,\)"):
        interpolate(BASE, {**TUNED, "a": torch.zeros(3)}, 0.5)


def test_numbers_that_are_no_weights_are_those_of_the_tuned_model() -> None:
    counts = ({"n": torch.tensor(2)}, {"n": torch.tensor(7)})
    assert interpolate(*counts, 0.5)["n"] == 7


def test_each_alpha_is_scored_in_turn() -> None:
    curve = list(sweep(BASE, TUNED, [0.0, 0.5, 1.0], lambda weights: float(weights["a"][1])))
    assert curve == [(0.0, -3.0), (0.5, 1.0), (1.0, 5.0)]


class TestChoice:
    CURVE = ((0.0, (0.9, 0.8)), (0.25, (0.9, 0.79)), (0.5, (0.8, 0.9)), (0.75, (0.89, 0.78)), (1.0, (0.5, 0.9)))

    @pytest.mark.parametrize(
        ("max_loss", "alpha"), [(0.0, 0.0), (0.01, 0.25), (0.02, 0.75), (0.1, 0.75), (0.39, 0.75), (0.4, 1.0)]
    )
    def test_it_is_the_largest_at_which_no_score_loses_more(self, max_loss: float, alpha: float) -> None:
        assert choose_alpha(self.CURVE, max_loss) == alpha

    def test_a_curve_that_is_flat_gives_the_tuned_model(self) -> None:
        assert choose_alpha([(alpha, (0.5,)) for alpha in alpha_grid()], 0.0) == 1.0

    def test_rounding_of_a_share_is_no_loss(self) -> None:
        assert 0.8 - 0.7 > 0.1
        assert choose_alpha([(0.0, (0.8,)), (1.0, (0.7,))], 0.1) == 1.0

    def test_without_the_base_model_nothing_can_be_compared(self) -> None:
        with pytest.raises(ValueError, match="no alpha = 0"):
            choose_alpha([(0.5, (0.9,))], 0.1)
