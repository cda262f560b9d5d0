"""Counterparts: the image that the base model retrieves first among those that show the denied concept."""

from __future__ import annotations

import numpy as np
import torch

from trainers.data.counterparts import find_counterparts
from trainers.data.possible_matches import ImageFacts, PossibleMatches
from trainers.loop.batches import Table

PAIRS = Table(torch.eye(4)[:2], torch.zeros(3, 1), torch.tensor([0, 0, 1]), torch.tensor([10, 11]))
"""Two pairs of image 10 and one of image 11."""
POOL = Table(torch.eye(4), torch.zeros(6, 1), torch.tensor([0, 1, 2, 2, 3, 3]), torch.tensor([10, 11, 12, 13]))
"""Four images; images 12 and 13 have two captions."""
TEXTS = torch.tensor([[1.0, 0.9, 0.8, 0.7], [1.0, 0.1, 0.2, 0.3], [0.0, 1.0, 0.5, 0.5]])
"""Features of the three negated texts: their scores with the images 10 to 13."""


def test_the_nearest_image_with_its_first_caption_that_names_the_concept() -> None:
    found = find_counterparts(PAIRS, POOL, TEXTS, [frozenset({0, 3, 5}), frozenset({0, 3, 5}), frozenset({2, 4})])
    assert found.texts.tolist() == [3, 5, 2], "not the own image 10; of equal scores the first image"
    assert found.of(np.array([0, 1])).tolist() == [3, 5]
    assert found.of(np.array([1, 0, 2])).tolist() == [5, 3], "2 and 3 are of one image, which is used once"
    assert found.summary() == {"pairs": 3, "with_counterpart": 3, "images": 2}


def test_a_pair_may_have_none() -> None:
    found = find_counterparts(PAIRS, POOL, TEXTS, [frozenset(), frozenset({0}), frozenset({4})])
    assert found.texts.tolist() == [-1, -1, 4], "the own image is none"
    assert found.of(np.array([0, 1])).tolist() == []


def test_an_image_shows_what_a_caption_affirms_and_no_decision_denies() -> None:
    captions = ["a man with a hat", "a man without a hat", "two hats", "a hat on a table", "a dog"]
    images = [ImageFacts(captions=[caption]) for caption in captions]
    images[3].absent.append("hat")
    assert PossibleMatches(images).showing("hat") == {0, 2}
