"""Automatic acceptance in simulated worlds with known truth."""

from __future__ import annotations

import pytest

from workbench.demo.experiment.automatic_acceptance import (
    SEEDS,
    TARGET,
    acceptance_line,
    acceptance_trial,
    measure,
    world_items,
)


def test_a_world_depends_on_its_seed_alone() -> None:
    first = world_items(1, 60)
    assert world_items(1, 60) == first
    assert world_items(2, 60) != first
    assert {item.stratum.split("/")[0] for item in first} == {"P1", "P2"}
    assert all(len(item.evidence.judges) == 2 for item in first)
    assert any(item.evidence.checks for item in world_items(1, 200))
    assert acceptance_trial(1, pictures=60).accepted == 0, "too few labels certify nothing"


def test_the_figures_of_few_candidates() -> None:
    figures = measure(2, pictures=60)
    assert (figures["precision_bound"], figures["true_precision"], figures["decisions_saved"]) == (None, None, 0)
    assert "nothing is accepted" in acceptance_line(figures)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_worlds_reach_the_promised_precision() -> None:
    figures = measure()
    assert figures["seeds"] == SEEDS
    assert figures["candidates"] >= 3_000
    assert figures["seeds_below_target"] <= 3, "one in twenty may be below; four or more have a probability of 1.6 %"
    assert figures["precision_bound"] >= TARGET
    assert figures["true_precision"] >= TARGET
    low, high = figures["decisions_saved_95"]
    assert 0.05 < low < figures["decisions_saved"] < high < 0.5
