"""Sampling of tokens with a generator per row."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from workbench.generation.engines.local.sampling import PerRowSampling, draw
from workbench.generation.engines.requests import Sampling

LOGITS = torch.tensor([2.0, 0.0, 3.0, -1.0, 1.0])
GRID = [(n + 0.5) / 4000 for n in range(4000)]


@pytest.mark.parametrize(
    ("temperature", "top_p", "nucleus"), [(1.0, 1.0, 5), (0.5, 1.0, 5), (1.0, 0.7, 2), (1.0, 0.1, 1)]
)
def test_tokens_are_drawn_by_their_share_of_the_nucleus(temperature: float, top_p: float, nucleus: int) -> None:
    sampling = Sampling(temperature=temperature, top_p=top_p)
    drawn = Counter(int(draw(LOGITS, sampling, number)) for number in GRID)
    shares = (LOGITS / temperature).softmax(-1)
    nucleus = shares.topk(nucleus)
    expected = nucleus.values / nucleus.values.sum()
    assert set(drawn) <= set(nucleus.indices.tolist())
    for token, share in zip(nucleus.indices.tolist(), expected.tolist(), strict=True):
        assert drawn[token] / len(GRID) == pytest.approx(share, abs=1 / len(GRID))


def test_both_ends_of_the_number_range_give_a_token() -> None:
    sampling = Sampling(temperature=1.0)
    assert int(draw(LOGITS, sampling, 0.0)) == 2
    assert int(draw(LOGITS, sampling, 1.0 - 1e-16)) == 3


def test_rows_are_drawn_independently() -> None:
    """A row's tokens are the same whatever rows stand beside it; without a seed they differ."""
    sampling = [Sampling(temperature=1.0, seed=seed) for seed in (1, 2, 1)] + [Sampling(), Sampling(temperature=1.0)]
    scores, ids = LOGITS.repeat(5, 1), torch.zeros(5, 1, dtype=torch.long)
    together, alone = PerRowSampling(sampling), [PerRowSampling([one]) for one in sampling]
    steps = [together(ids, scores).argmax(-1).tolist() for _ in range(40)]  # type: ignore[arg-type]
    for row, own in enumerate(alone[:4]):
        mine = [int(own(ids[:1], scores[:1]).argmax()) for _ in range(40)]  # type: ignore[arg-type]
        assert mine == [step[row] for step in steps]
    first, second, again, greedy, unseeded = zip(*steps, strict=True)
    assert first == again != second
    assert set(greedy) == {2}
    assert unseeded not in (first, second)
