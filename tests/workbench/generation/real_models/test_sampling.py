"""Drawing a token from its own number."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from workbench.generation.engines.local.sampling import PerRowSampling, draw
from workbench.generation.engines.requests import Sampling

LOGITS = torch.tensor([2.0, 0.0, 3.0, -1.0, 1.0])
GRID = [(n + 0.5) / 4000 for n in range(4000)]


@pytest.mark.parametrize(("temperature", "top_p", "kept"), [(1.0, 1.0, 5), (0.5, 1.0, 5), (1.0, 0.7, 2), (1.0, 0.1, 1)])
def test_tokens_come_as_often_as_their_share_of_the_nucleus(temperature: float, top_p: float, kept: int) -> None:
    asked = Sampling(temperature=temperature, top_p=top_p)
    drawn = Counter(int(draw(LOGITS, asked, number)) for number in GRID)
    shares = (LOGITS / temperature).softmax(-1)
    nucleus = shares.topk(kept)
    expected = nucleus.values / nucleus.values.sum()
    assert set(drawn) <= set(nucleus.indices.tolist())
    for token, share in zip(nucleus.indices.tolist(), expected.tolist(), strict=True):
        assert drawn[token] / len(GRID) == pytest.approx(share, abs=1 / len(GRID))


def test_a_number_at_either_end_is_a_token() -> None:
    asked = Sampling(temperature=1.0)
    assert int(draw(LOGITS, asked, 0.0)) == 2
    assert int(draw(LOGITS, asked, 1.0 - 1e-16)) == 3


def test_rows_draw_for_themselves() -> None:
    """A row's tokens are the same whatever rows stand beside it; without a seed they differ."""
    asked = [Sampling(temperature=1.0, seed=seed) for seed in (1, 2, 1)] + [Sampling(), Sampling(temperature=1.0)]
    scores, ids = LOGITS.repeat(5, 1), torch.zeros(5, 1, dtype=torch.long)
    together, alone = PerRowSampling(asked), [PerRowSampling([one]) for one in asked]
    steps = [together(ids, scores).argmax(-1).tolist() for _ in range(40)]  # type: ignore[arg-type]
    for row, own in enumerate(alone[:4]):
        mine = [int(own(ids[:1], scores[:1]).argmax()) for _ in range(40)]  # type: ignore[arg-type]
        assert mine == [step[row] for step in steps]
    first, second, again, greedy, unseeded = zip(*steps, strict=True)
    assert first == again != second
    assert set(greedy) == {2}
    assert unseeded not in (first, second)
