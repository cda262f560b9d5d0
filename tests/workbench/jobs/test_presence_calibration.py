"""Calibration of CLIP's score with labels of the workspace."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from curation_db.stats.intervals import wilson
from curation_db.stats.judge_accuracy import AuditLabels, PresenceLabel
from curation_db.stats.misclassification import corrected_share
from curation_db.trust.evidence import split_by_image
from workbench.jobs.presence_calibration import LEAST, Labels, fit


def labels(count: int, share: float = 0.4, seed: int = 0) -> Labels:
    draw = random.Random(seed)
    entries = [
        (PresenceLabel(at, draw.random() < share, at, "dog", "s", f"{at}.png"), Path(f"{at}.png"))
        for at in range(count)
    ]
    return Labels(AuditLabels.DECIDED, tuple(entries))


def scores(labelled: Labels, seed: int = 1) -> list[float | None]:
    """Return scores whose log-odds are -4 + 2 N(0, 1) for absent and 4 more for present objects."""
    draw = random.Random(seed)
    odds = [draw.gauss(0 if label.present else -4, 2) for label, _ in labelled.entries]
    return [1 / (1 + math.exp(-each)) for each in odds]


def test_the_curve_is_the_true_one() -> None:
    labelled = labels(20_000)
    found = fit(labelled, scores(labelled), 0.5)
    assert found is not None
    # two normals of one spread: log-odds of present = x * 4 / 4 + 8 / 4 + log(.4 / .6)
    assert found.scale.slope == pytest.approx(1.0, abs=0.06)
    assert found.scale.intercept == pytest.approx(2 + math.log(0.4 / 0.6), abs=0.3)
    assert found.tested.ece < 0.02


def test_the_errors_are_those_of_the_images_that_were_not_fitted() -> None:
    labelled = labels(400)
    p = scores(labelled)
    found = fit(labelled, p, 0.5)
    assert found is not None
    fitting, testing = split_by_image([label for label, _ in labelled.entries])
    assert (found.fitted, found.tested.n) == (len(fitting), len(testing))
    present = [label for label in testing if label.present]
    absent = [label for label in testing if not label.present]
    assert found.errors.right == len(present)
    assert found.errors.right_as_right == sum((p[label.candidate_id] or 0) >= 0.5 for label in present)
    assert found.errors.wrong_as_wrong == sum((p[label.candidate_id] or 0) < 0.5 for label in absent)
    parsed = found.to_json(10, 50)
    share, low = corrected_share(10, 50, found.errors), wilson(found.errors.right_as_right, found.errors.right).low
    assert share is not None
    assert parsed["share"] == [share.estimate, share.low, share.high]
    assert parsed["sensitivity"][1] == low
    assert found.to_json(0, 0)["share"] is None


def test_undefined_scores_are_left_out() -> None:
    labelled = labels(400)
    p = scores(labelled)
    some = [None if at % 2 else each for at, each in enumerate(p)]
    half = Labels(labelled.kind, tuple(each for at, each in enumerate(labelled.entries) if not at % 2))
    assert fit(labelled, some, 0.5) == fit(half, [each for at, each in enumerate(p) if not at % 2], 0.5)


def test_too_few_labels_give_no_calibration() -> None:
    labelled = labels(60)
    assert fit(labelled, scores(labelled), 0.5) is None
    one_kind = Labels(labelled.kind, tuple((replace(each, present=False), path) for each, path in labels(400).entries))
    assert fit(one_kind, scores(one_kind), 0.5) is None
    assert fit(labelled, [None] * 60, 0.5) is None
    assert LEAST >= 10
