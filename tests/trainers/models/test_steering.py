"""Hidden states and steered towers against a plain forward pass: one text at a time, whole context, no hooks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.clip_models import TINY, make_tiny
from torch import Tensor
from torch.nn.functional import normalize

from trainers.errors import TrainerError
from trainers.models.clip_model import ClipModel, build
from trainers.models.routed import route_models
from trainers.models.steering import SteeredTower, end_states
from trainers.models.text_tower import text_module

TEXTS = ["no hat", "a man on a bench without a red umbrella", "a dog", "cat"]


def separate_tower() -> ClipModel:
    """Return a model whose text tower is a module of its own, as in open_clip's `CustomTextCLIP`."""
    torch.manual_seed(1)
    return build(TINY | {"custom_text": True}, {}, name="custom", arch="custom")


@torch.no_grad()
def plain(model: ClipModel, text: str, shifts: dict[int, Tensor]) -> tuple[list[Tensor], Tensor]:
    """Return the state of the end token after each layer, and the unit feature.

    Args:
        shifts: By layer, from 1; added to the state in multiples of its length.
    """
    tower: Any = text_module(model.model)
    ids = model.tokenizer([text])
    end = int(ids[0].argmax())
    x = tower.token_embedding(ids) + tower.positional_embedding
    states = []
    for layer, block in enumerate(tower.transformer.resblocks, 1):
        x = block(x, attn_mask=tower.attn_mask)
        states.append(x[0, end].clone())
        if layer in shifts:
            x[0, end] += shifts[layer] * x[0, end].norm()
    last = tower.ln_final(x)[0, end]
    projection = tower.text_projection
    feature = projection(last) if isinstance(projection, torch.nn.Linear) else last @ projection
    return states, normalize(feature, dim=0)


@pytest.mark.parametrize("make", [make_tiny, separate_tower])
def test_the_states_of_the_end_tokens(make: Any) -> None:
    model = make()
    expected = torch.stack([torch.stack(plain(model, text, {})[0]) for text in TEXTS], dim=1)
    states = end_states(model, TEXTS)
    assert states.shape == (2, len(TEXTS), 32)
    assert torch.allclose(states, expected, atol=1e-5)


@pytest.mark.parametrize("make", [make_tiny, separate_tower])
@pytest.mark.parametrize("layer", [1, 2])
def test_one_layer_is_steered(make: Any, layer: int) -> None:
    model = make()
    shift = 0.5 * normalize(torch.randn(32, generator=torch.Generator().manual_seed(layer)), dim=0)
    before = model.encode_texts(TEXTS)
    steered = SteeredTower(model.text_tower, layer, shift).encode_all(model.tokenizer(TEXTS))
    expected = torch.stack([plain(model, text, {layer: shift})[1] for text in TEXTS])
    assert torch.allclose(steered, expected, atol=1e-5)
    assert not torch.allclose(steered, before, atol=1e-2)
    assert torch.equal(model.encode_texts(TEXTS), before), "the model itself is not changed"


def test_only_one_causal_tower_is_steered() -> None:
    base, tuned = make_tiny(), make_tiny()
    with pytest.raises(TrainerError, match="two text towers"):
        end_states(route_models(base, tuned), TEXTS)
    with pytest.raises(TrainerError, match="left to right"):
        end_states(make_tiny(no_causal_mask=True), TEXTS)
