"""What the guarantee of a policy does not cover, with the figures of the package's README."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from curation_db.trust.declared_looks import certifies

PRECISION = 0.95


def test_among_few_acceptances_one_wrong_is_not_rare() -> None:
    """GIVEN 59 labels and 10 acceptances with one wrong among all 69 THEN no label is wrong in 14.5 % of the cases."""
    assert certifies(59, 0, PRECISION)
    assert comb(68, 59) / comb(69, 59) == pytest.approx(0.145, abs=5e-4)


def wrong_certificates(per_image: int, audit_rate: float, *, runs: int = 3_000) -> float:
    """Return the share of certificates in a population of 2,000 candidates whose precision is just below .95.

    All candidates of an image are right, or all are wrong. 30 % of the images are set aside for the fit of the score.
    """
    draw = np.random.default_rng(0)
    images = 2_000 // per_image
    wrong_images = images // 20 + 1
    certificates = 0
    for _ in range(runs):
        labels = draw.binomial(per_image, audit_rate, images) * (draw.random(images) >= 0.3)
        certificates += certifies(int(labels.sum()), int(labels[:wrong_images].sum()), PRECISION)
    return certificates / runs


@pytest.mark.parametrize(
    ("per_image", "audit_rate", "share"), [(10, 0.9, 0.08), (5, 0.9, 0.05), (10, 0.3, 0.05), (5, 0.3, 0.03)]
)
def test_labels_of_an_image_that_are_all_right_or_all_wrong(per_image: int, audit_rate: float, share: float) -> None:
    assert wrong_certificates(per_image, audit_rate) == pytest.approx(share, abs=0.012)
