"""The gate for exports with false captions, and the report on exports of true captions only."""

from __future__ import annotations

import random

import pytest
from sklearn.metrics import roc_auc_score

from curation_db.exporting import blind_gate
from curation_db.exporting.blind_gate import CaptionPair, HardNegatives, check_gate, hard_negatives, text_report
from curation_db.exporting.manifest import ExportItem
from curation_db.trust.blind_classifier import _discrimination, text_bias

THINGS = ("hat", "kite", "cup", "umbrella", "bench", "phone")


def item(number: int, *, thing: str = "hat", state: str = "accepted", reasons: tuple[str, ...] = (), **more: str):
    values = {"caption": "a man on a beach", "text": f"a man on a beach without a {thing}", "concept": thing} | more
    return ExportItem(key=str(number), source="coco", image_key=str(number), state=state, reasons=reasons, **values)


def rejected(number: int, thing: str = "hat", *reasons: str, **more: str) -> ExportItem:
    return item(number, thing=thing, state="rejected", reasons=reasons or ("present",), **more)


def test_a_set_of_true_captions_has_no_pairs() -> None:
    assert hard_negatives([item(1), item(2), rejected(3, "hat", "gratuitous")]) == HardNegatives()


def test_a_rejected_text_turns_the_pair_round() -> None:
    found = hard_negatives([item(1), rejected(2), rejected(3, "hat", "present", "scope")])
    denied, affirmed = "a man on a beach without a hat", "a man on a beach with a hat"
    assert found.forward == (CaptionPair(denied, affirmed, ("coco", "1")),)
    assert found.reverse == (CaptionPair(affirmed, denied, ("coco", "2")),)


def test_an_original_caption_that_the_text_contradicts_is_a_false_caption() -> None:
    contradicted = item(1, caption="a man in a hat", text="nobody here has any hat")
    assert hard_negatives([contradicted]).forward == (
        CaptionPair("nobody here has any hat", "a man in a hat", ("coco", "1")),
    )
    assert hard_negatives([item(1, caption="a man in a coat", text="nobody here has any hat")]).pairs == ()


def test_the_gate_fails_on_one_kind_of_pair_and_passes_on_both() -> None:
    draw = random.Random(0)
    true = [item(number, thing=draw.choice(THINGS)) for number in range(300)]
    false = [rejected(number, draw.choice(THINGS)) for number in range(1000, 1300)]
    steps: list[tuple[int, int]] = []
    assert check_gate(hard_negatives(true + false), 0.6, progress=lambda *at: steps.append(at)).passes
    assert steps == [(n, 6) for n in range(1, 7)]
    uneven = check_gate(hard_negatives(true + false[:60]), 0.6)
    assert (uneven.passes, uneven.forward, uneven.reverse, uneven.sampled) == (False, 300, 60, False)
    assert uneven.balanced is not None
    assert (uneven.balanced.pairs, uneven.blind.accuracy.estimate > 0.75) == (120, True)
    assert uneven.balanced.accuracy.estimate < uneven.blind.accuracy.estimate
    assert check_gate(hard_negatives(true + false[:60]), 0.99).passes


def test_a_large_set_is_sampled_with_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blind_gate, "MOST_PAIRS", 40)
    negatives = hard_negatives([*(item(n) for n in range(50)), rejected(99)])
    first, second = (check_gate(negatives, 0.6) for _ in range(2))
    assert first == second
    assert (first.sampled, first.blind.pairs, first.forward) == (True, 40, 50)


def test_the_report_on_true_captions() -> None:
    items = [item(1, cue="no", cue_position="end"), item(2, cue="no"), item(3, thing="cup", cue="not"), item(4)]
    report = text_report(items, {"cue": {"no": 0.5, "not": 0.5}}, ([], []))
    assert dict(report.traits["cue"].shares) == {"no": 0.5, "not": 0.25}
    assert report.traits["cue"].distance == pytest.approx(0.125)
    assert report.traits["position"].distance == 0
    assert (report.pairs, report.concept, report.concept_share, report.bias) == (4, "hat", 0.75, None)


def test_accept_that_depends_on_a_word_is_predicted_by_the_text() -> None:
    draw = random.Random(1)
    texts = [(f"a {draw.choice(THINGS)} and no {draw.choice(THINGS)}", number) for number in range(200)]
    accepted = [each for each in texts if "no hat" not in each[0] and "no cup" not in each[0]]
    rejected_texts = [each for each in texts if each not in accepted]
    assert text_bias(accepted, rejected_texts).discrimination.low > 0.95
    random_bias = text_bias(texts[:100], texts[100:])
    assert random_bias.discrimination.low < 0.5 < random_bias.discrimination.high
    assert all(name for name, _ in random_bias.habits)


def test_the_discrimination_is_the_area_under_the_curve_of_scikit_learn() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    higher, lower = rng.normal(0.5, 1, 70).round(1), rng.normal(0, 1, 50).round(1)
    found = _discrimination(higher, lower)
    assert found.estimate == pytest.approx(
        roc_auc_score([1] * 70 + [0] * 50, np.concatenate([higher, lower])), abs=1e-12
    )
    assert found.low < found.estimate < found.high
