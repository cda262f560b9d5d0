"""LoRA adapters: on the text tower alone, effective, exact after merging, and readable by peft."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from trainers.errors import RunRefused
from trainers.models.clip_model import ClipModel
from trainers.models.lora import Adapters, adapted_layers
from trainers.settings import TrainSettings

peft = pytest.importorskip("peft")

TEXTS = ["a dog with no hat", "no cat", "the man near a tree has a ball but no cup"]
SETTINGS = TrainSettings(lora_rank=4, lora_alpha=8.0)
ATTENTION, MLP = ["attn"], ["mlp.c_fc", "mlp.c_proj"]


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _randomise(adapters: Adapters) -> None:
    """Give every adapter a part in the features."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in adapters.weights.values():
            weight.copy_(torch.randn(weight.shape, generator=generator) / 10)


def test_they_are_on_all_linear_layers_of_the_text_tower(tiny: ClipModel) -> None:
    expected = [f"transformer.resblocks.{block}.{layer}" for block in (0, 1) for layer in ATTENTION + MLP]
    assert adapted_layers(tiny.model, SETTINGS) == expected
    some = TrainSettings(lora_rank=1, lora_targets=("c_fc", "transformer.resblocks.1.attn"))
    assert adapted_layers(tiny.model, some) == [expected[1], expected[3], expected[4]]
    frozen = TrainSettings(lora_rank=1, frozen=("visual.", "transformer.resblocks.0"))
    assert adapted_layers(tiny.model, frozen) == expected[3:]


def test_merged_they_give_the_features_that_they_gave_before(tiny: ClipModel, tmp_path: Path) -> None:
    base, before = _state(tiny.model), tiny.encode_texts(TEXTS)
    adapters = Adapters(tiny.model, SETTINGS)
    torch.testing.assert_close(tiny.encode_texts(TEXTS), before, atol=1e-6, rtol=0)
    _randomise(adapters)
    for _ in range(20):
        adapted = tiny.encode_texts(TEXTS)
    assert (adapted - before).abs().max() > 0.1
    now = {name.replace(".base_layer", ""): value for name, value in tiny.model.named_parameters()}
    assert all(torch.equal(value, now[name]) for name, value in base.items()), "forward passes leave the base as it was"
    weights, saved = adapters.merge()
    torch.testing.assert_close(tiny.encode_texts(TEXTS), adapted, atol=1e-6, rtol=0)
    merged = _state(tiny.model)
    assert merged.keys() == base.keys()
    assert {name for name in base if not torch.equal(base[name], merged[name])} == weights.keys()
    assert all(torch.equal(base[name], saved[name]) for name in weights)
    assert not any(name.startswith("visual.") for name in weights)

    adapters.save(tmp_path / "adapter")
    tiny.model.load_state_dict(base)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: pytest.fail(str(args)))  # as for missing keys
        peft.PeftModel.from_pretrained(tiny.model, str(tmp_path / "adapter"))
    torch.testing.assert_close(tiny.encode_texts(TEXTS), adapted, atol=1e-6, rtol=0)


def test_every_adapter_gets_a_gradient(tiny: ClipModel) -> None:
    adapters = Adapters(tiny.model, SETTINGS)
    _randomise(adapters)
    tiny.text_tower(tiny.tokenizer(TEXTS))[:, :3].sum().backward()
    assert len(adapters.weights) == 12
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in adapters.weights.values())
    trained = {id(weight) for weight in tiny.model.parameters() if weight.requires_grad}
    assert trained == {id(weight) for weight in adapters.weights.values()}


def test_their_start_depends_on_the_seed_alone(tiny: ClipModel) -> None:
    first = {name: value.detach().clone() for name, value in Adapters(tiny.model, SETTINGS).weights.items()}
    from support.clip_models import make_tiny

    torch.manual_seed(7)
    other = Adapters(make_tiny(seed=3).model, SETTINGS).weights
    assert all(torch.equal(first[name], other[name]) for name in first)


def test_what_is_not_there_is_named(tiny: ClipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for target in ("q_proj", "out_proj", "visual.transformer.resblocks.0.attn"):
        with pytest.raises(RunRefused, match=f"no layer of the text tower is named {target}") as refused:
            adapted_layers(tiny.model, TrainSettings(lora_rank=1, lora_targets=("attn", target)))
        assert refused.value.hint == "the layers are attn, c_fc, c_proj"
    with pytest.raises(RunRefused, match="no layer can have an adapter"):
        adapted_layers(tiny.model, TrainSettings(lora_rank=1, frozen=("visual.", "transformer.")))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(RunRefused, match="needs the package peft") as missing:
        adapted_layers(tiny.model, SETTINGS)
    assert "\n" not in missing.value.message
    assert "extra lora" in missing.value.hint
