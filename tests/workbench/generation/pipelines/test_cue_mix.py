"""Cues and positions: deterministic per item, evenly distributed, and fitting the negation type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from curation_db.enums import NegationType
from curation_db.stats.targets import PRESETS
from workbench.generation.prompts.cue_mix import CUES, choose_cue_target, cues_for, seed_of
from workbench.workspace.settings.engines import Mix

ITEMS = 4000


def close(counts: Mapping[str, int], shares: Mapping[str, float]) -> bool:
    """Pearson's chi-square stays below its 99.9th percentile, roughly k + 3.1 sqrt(2k) + 6."""
    total = sum(counts.values())
    chi = sum((counts.get(name, 0) - total * share) ** 2 / (total * share) for name, share in shares.items())
    free = len(shares) - 1
    return set(counts) <= set(shares) and chi < free + 3.1 * (2 * free) ** 0.5 + 6


def targets(mix: Mix, kind: NegationType, concept: str = "hat"):
    return [choose_cue_target(mix, kind, concept, item=f"caption/{number}", seed=7) for number in range(ITEMS)]


@pytest.mark.parametrize("kind", NegationType)
def test_balanced_is_even_over_cues_and_positions_and_both_together(kind: NegationType):
    drawn = targets(Mix.BALANCED, kind)
    cues = cues_for(kind, "hat")
    assert close(Counter(target.cue for target in drawn), dict.fromkeys(cues, 1 / len(cues)))
    assert close(Counter(target.position for target in drawn), dict.fromkeys(("beginning", "middle", "end"), 1 / 3))
    both = {f"{cue}/{place}": 1 / (3 * len(cues)) for cue in cues for place in ("beginning", "middle", "end")}
    assert close(Counter(f"{target.cue}/{target.position}" for target in drawn), both)


def test_the_benchmark_mix_has_the_distribution_of_the_benchmark():
    drawn = targets(Mix.NEGREFCOCOG, NegationType.ABSENCE)
    assert close(Counter(target.cue for target in drawn), PRESETS["negrefcocog"]["cue"])
    assert close(Counter(target.position for target in drawn), PRESETS["negrefcocog"]["position"])


def test_the_free_mix_requests_nothing_and_is_stored():
    assert {tuple(target.extra.items()) for target in targets(Mix.FREE, NegationType.ABSENCE)} == {
        (("mix", "free"), ("asked_cue", ""), ("asked_position", ""))
    }


def test_requested_cues_fit_the_negation_type():
    assert {"nobody", "no one"} <= set(cues_for(NegationType.ABSENCE, "people"))
    assert not {"nobody", "no one"} & set(cues_for(NegationType.ABSENCE, "hat"))
    assert "never" in cues_for(NegationType.ACTION, "running")
    assert "no" not in cues_for(NegationType.ATTRIBUTE, "red car")
    assert all(set(cues_for(kind, "people")) <= set(CUES) for kind in NegationType)


def test_a_cue_target_depends_on_item_and_seed_only():
    drawn_targets = [
        choose_cue_target(Mix.BALANCED, NegationType.ABSENCE, "hat", item="caption/9", seed=seed) for seed in range(50)
    ]
    assert drawn_targets == [
        choose_cue_target(Mix.BALANCED, NegationType.ABSENCE, "hat", item="caption/9", seed=s) for s in range(50)
    ]
    assert len(set(drawn_targets)) > 5


def test_seeds_are_31_bits():
    seeds = [seed_of("x", number) for number in range(1000)]
    assert len(set(seeds)) == 1000
    assert min(seeds) >= 0 and max(seeds) < 2**31  # noqa: PT018
    assert max(seeds) > 2**30
