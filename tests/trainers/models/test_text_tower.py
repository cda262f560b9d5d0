"""Trimming is used only where it does not change the features."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from support.clip_models import TINY, make_tiny, sentence
from torch.nn import functional

from trainers.models.clip_model import ClipModel, build
from trainers.models.text_tower import cut, eot_lengths


@pytest.fixture
def ids(tiny: ClipModel) -> torch.Tensor:
    rng = random.Random(3)
    return tiny.tokenizer([sentence(rng) for _ in range(40)])


def test_a_causal_tower_is_trimmed_and_gives_open_clips_features(tiny: ClipModel, ids: torch.Tensor) -> None:
    assert tiny.text_tower.trims
    assert cut(ids).shape[1] == int(eot_lengths(ids).max()) < ids.shape[1]
    expected = tiny.model.encode_text(ids, normalize=True)
    torch.testing.assert_close(tiny.text_tower(ids), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(tiny.text_tower.encode_all(ids, batch=7), expected, atol=1e-6, rtol=0)


def test_the_gradients_are_the_same_too(tiny: ClipModel, ids: torch.Tensor) -> None:
    target = functional.normalize(
        torch.randn(len(ids), tiny.embed_dim, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    gradients = []
    for encode in (tiny.text_tower, lambda rows: tiny.model.encode_text(rows, normalize=True)):
        tiny.model.zero_grad()
        (encode(ids) * target).sum().backward()
        gradients.append({name: p.grad.clone() for name, p in tiny.model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        other = gradients[1][name]
        assert (gradient - other).norm() <= 2e-5 * other.norm() + 1e-6, name


@pytest.mark.parametrize(("rows", "buckets"), [(1, 1), (40, 3), (64, 4), (256, 4), (512, 8), (2048, 16)])
def test_texts_of_similar_length_are_encoded_together(
    tiny: ClipModel, monkeypatch: pytest.MonkeyPatch, rows: int, buckets: int
) -> None:
    """The partition of up to 256 rows must stay: the last bits of features depend on it."""
    rng, sizes = random.Random(3), list[torch.Size]()
    ids = tiny.tokenizer([sentence(rng) for _ in range(rows)])

    def encode(model: Any, part: torch.Tensor) -> torch.Tensor:
        sizes.append(part.shape)
        return eot_lengths(part)[:, None] ** torch.arange(2.0)  # 1 and the length

    monkeypatch.setattr("trainers.models.text_tower.encode_short", encode)
    expected = functional.normalize(eot_lengths(ids)[:, None] ** torch.arange(2.0), dim=-1)
    assert torch.equal(tiny.text_tower(ids), expected)
    assert len(sizes) == buckets
    assert sum(size[0] for size in sizes) == rows
    if rows >= 512:
        assert sum(size[0] * size[1] for size in sizes) < 1.09 * int(eot_lengths(ids).sum())


def test_a_tower_that_sees_both_ways_is_not_trimmed(ids: torch.Tensor) -> None:
    both_ways = make_tiny(no_causal_mask=True)
    assert not both_ways.text_tower.trims
    expected = both_ways.model.encode_text(ids, normalize=True)
    torch.testing.assert_close(both_ways.text_tower(ids), expected, atol=1e-6, rtol=0)


def test_a_tower_pooled_at_the_last_position_is_not_trimmed() -> None:
    assert not make_tiny(pool_type="last").text_tower.trims


def test_the_probe_looks_at_numbers_not_at_the_configuration(tiny: ClipModel) -> None:
    from trainers.models.text_tower import TextTower

    tiny.model.attn_mask = torch.zeros_like(tiny.model.attn_mask)
    assert not TextTower(tiny.model, context_length=24, vocab_size=49408).trims


def custom(**text: Any) -> ClipModel:
    """A model whose text tower is a module of its own, as that of EVA, PE and MobileCLIP."""
    torch.manual_seed(0)
    config = TINY | {"custom_text": True, "text_cfg": TINY["text_cfg"] | text}
    return build(config, {}, name="custom", arch="custom")


@pytest.mark.parametrize("text", [{}, {"pool_type": "eos", "eos_id": 49407}, {"proj_bias": True}])
def test_a_causal_tower_of_its_own_is_trimmed_too(ids: torch.Tensor, text: dict[str, Any]) -> None:
    model = custom(**text)
    assert model.text_tower.trims
    expected = model.model.encode_text(ids, normalize=True)
    torch.testing.assert_close(model.text_tower(ids), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "text",
    [
        {"no_causal_mask": True},
        {"pool_type": "last", "no_causal_mask": True},
        {"pool_type": "eos", "eos_id": 320},
        {"embed_cls": True},
    ],
    ids=["both ways", "SigLIP", "another end", "CoCa"],
)
def test_other_towers_are_encoded_in_whole(ids: torch.Tensor, text: dict[str, Any]) -> None:
    model = custom(**text)
    assert not model.text_tower.trims
    expected = model.model.encode_text(ids, normalize=True)
    torch.testing.assert_close(model.text_tower(ids), expected, atol=1e-6, rtol=0)


def test_rows_are_not_cut_before_the_token_that_is_pooled() -> None:
    """A row whose highest id comes before its end token; the probe has only rows whose end token is the highest."""
    model = make_tiny(pool_type="eos", eos_id=320)
    ids = torch.tensor([[49406, 500, 400, 320] + [0] * 20, [49406, 500, 320] + [0] * 21])
    expected = model.model.encode_text(ids, normalize=True)
    torch.testing.assert_close(model.text_tower(ids), expected, atol=1e-6, rtol=0)


def test_no_texts_are_no_features(tiny: ClipModel) -> None:
    assert tiny.encode_texts([]).shape == (0, 16)
    assert tiny.encode_images([]).shape == (0, 16)
