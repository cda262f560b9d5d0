"""SigLIP, SigLIP2, PE, EVA and MobileCLIP build, evaluate and train; other kinds are refused in one line.

The text towers are reduced to one narrow layer; the image towers are the smallest of their family in timm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.tokenizer import HFTokenizer
from PIL import Image
from support.clip_models import draw_pictures, freeze, pairs_of, tiny_config
from support.tiny_models import VOCABULARY, _tokenizer

from benchmarks.text_limit import text_facts
from trainers.errors import ModelRefused
from trainers.loop.finetune import run_training
from trainers.models.clip_model import ClipModel, build
from trainers.models.loading import load_model
from trainers.models.lora import Adapters
from trainers.models.saving import check_can_save, save_model
from trainers.run_files import LOG
from trainers.settings import TrainSettings, create_run

TEXTS = ["a dog with a red hat", "no cat"]
FAMILIES = {
    "MobileCLIP2-S0": {},
    "MobileCLIP-B": {"timm_model_name": "test_vit", "image_size": 160, "timm_pool": "token"},
    "PE-Core-T-16-384": {},
    "EVA02-B-16": {"timm_model_name": "eva02_tiny_patch14_224"},
    "ViT-B-16-SigLIP": {"timm_model_name": "test_vit4", "image_size": 160},
    "ViT-B-16-SigLIP2": {"timm_model_name": "test_vit4", "image_size": 160},
}
"""Architectures of open_clip, and what a smaller image tower changes."""


def family(name: str, folder: Path) -> ClipModel:
    """A model of the family with random weights, and in `folder` its tokenizer if it is not CLIP's."""
    config = open_clip.get_model_config(name)
    config["text_cfg"] |= {"layers": 1, "width": 64, "heads": 1}
    config["vision_cfg"] |= FAMILIES[name]
    if "siglip" in name.lower():
        config["embed_dim"] = 96  # the width of the image tower, since SigLIP has no image projection
    tokenizer = None
    if "hf_tokenizer_name" in config["text_cfg"]:
        config["text_cfg"]["vocab_size"] = VOCABULARY
        _tokenizer().save_pretrained(folder)
        options: dict[str, Any] = config["text_cfg"].get("tokenizer_kwargs", {})
        tokenizer = HFTokenizer(str(folder), context_length=config["text_cfg"]["context_length"], **options)
    torch.manual_seed(0)
    return build(config, {}, name=name, arch=name, tokenizer=tokenizer)


def _cuts(model: ClipModel, excess: int) -> tuple[bool, bool]:
    """Return by `text_facts`, and by the ids, whether a text with so many tokens above the limit is cut."""
    count = model.token_counter()
    assert count is not None
    words = "red " * (model.context_length + excess - count("red") + 1)
    assert count(words.strip()) == model.context_length + excess
    facts = text_facts(model, [words.strip()])
    assert facts is not None
    whole, longer = model.tokenizer([words.strip(), f"{words}red"])
    return bool(facts["cut"]), bool((whole == longer).all())


@pytest.mark.parametrize("name", FAMILIES)
def test_they_load_and_evaluate(tmp_path: Path, name: str) -> None:
    model = family(name, tmp_path / "tokenizer")
    save_model(model, tmp_path / "model")
    again = load_model(str(tmp_path / "model"))
    assert again.model_hash == model.model_hash
    assert again.text_tower.trims != bool(model.config["text_cfg"].get("no_causal_mask"))
    image = Image.new("RGB", (50, 40), "red")
    torch.testing.assert_close(again.encode_images([image]), model.encode_images([image]), atol=1e-6, rtol=0)
    assert again.context_length == (32 if name.startswith("PE") else 64 if "SigLIP" in name else 77)
    assert [_cuts(again, excess) for excess in (-1, 0, 1)] == [(False, False), (False, True), (True, True)]
    expected = model.model.encode_text(model.tokenizer(TEXTS), normalize=True)
    torch.testing.assert_close(again.encode_texts(TEXTS), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "name",
    [name if "test_vit" in str(FAMILIES[name]) else pytest.param(name, marks=pytest.mark.long) for name in FAMILIES],
)
def test_they_train(tmp_path: Path, name: str) -> None:
    """The text tower learns; the image tower stays. The larger towers take up to a minute on one core."""
    model = family(name, tmp_path / "tokenizer")
    save_model(model, tmp_path / "model")
    freeze(tmp_path / "export", pairs_of(draw_pictures(tmp_path / "pictures", 6)))
    create_run(tmp_path / "run", tiny_config(tmp_path, steps=1, batch=3, keep="last", val_share=0))
    run_training(tmp_path / "run")
    full_length = "each text is encoded at its full 64 positions" in (tmp_path / "run" / LOG).read_text()
    assert full_length == ("SigLIP" in name)
    tuned = load_model(str(tmp_path / "run" / "model"))
    assert tuned.visual_hash == model.visual_hash
    assert (tuned.encode_texts(TEXTS) - model.encode_texts(TEXTS)).abs().max() > 1e-5


@pytest.mark.parametrize(
    "name", [name if name == "ViT-B-16-SigLIP" else pytest.param(name, marks=pytest.mark.long) for name in FAMILIES]
)
def test_they_take_adapters(tmp_path: Path, name: str) -> None:
    """On every linear layer of the text tower's block; merged, the features are those that they gave before."""
    model = family(name, tmp_path / "tokenizer")
    state, ids = set(model.model.state_dict()), model.tokenizer(TEXTS)
    before = model.text_tower(ids)
    adapters = Adapters(model.model, TrainSettings(lora_rank=2, frozen=("visual.",)))
    optimizer = torch.optim.AdamW(adapters.weights.values(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        model.text_tower(ids)[:, :3].sum().backward()
        optimizer.step()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in adapters.weights.values())
    adapted = model.text_tower(ids)
    assert (adapted - before).abs().max() > 1e-4
    weights, _ = adapters.merge()
    assert sum(name.endswith(("in_proj_weight", "c_fc.weight", "c_proj.weight")) for name in weights) == 3
    assert set(model.model.state_dict()) == state
    torch.testing.assert_close(model.text_tower(ids), adapted, atol=1e-6, rtol=0)


def test_they_cannot_be_saved_in_other_forms(tmp_path: Path) -> None:
    model = family("EVA02-B-16", tmp_path)
    for forms in ({"pth": True, "hf": False}, {"pth": False, "hf": True}):
        with pytest.raises(ModelRefused, match="cannot be saved"):
            check_can_save(model, **forms)


class TestRefusals:
    def refusal(self, spec: str) -> ModelRefused:
        with pytest.raises(ModelRefused) as refused:
            load_model(spec)
        assert "\n" not in refused.value.message
        return refused.value

    def test_coca(self) -> None:
        assert "is a CoCa" in self.refusal("coca_ViT-B-32:laion2b_s13b_b90k").message

    def test_a_tokenizer_that_is_not_here(self, tmp_path: Path) -> None:
        model = family("ViT-B-16-SigLIP", tmp_path / "tokenizer")
        save_model(model, tmp_path / "model")
        for path in (tmp_path / "model").glob("tokenizer*"):
            path.unlink()
        error = self.refusal(str(tmp_path / "model"))
        assert "the tokenizer of" in error.message
        assert "beside the weights" in error.hint

    def test_a_text_encoder_of_the_hub_without_a_network(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        names = ("text.transformer.embeddings.word_embeddings.weight", "visual.proj")
        torch.save(dict.fromkeys(names, torch.zeros(2, 2)), tmp_path / "w.pt")
        error = self.refusal(f"xlm-roberta-base-ViT-B-32:{tmp_path / 'w.pt'}")
        assert "the tokenizer of xlm-roberta-base cannot be loaded" in error.message

    def test_a_siglip_file_of_another_size(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = family("EVA02-B-16", tmp_path)
        config = dict(model.config)
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "EVA-tiny", config)
        state = model.model.state_dict()
        torch.save(state, tmp_path / "w.pt")
        assert load_model(f"EVA-tiny:{tmp_path / 'w.pt'}").model_hash == model.model_hash
        torch.save(state | {"text.positional_embedding": torch.zeros(60, 64)}, tmp_path / "w.pt")
        assert (
            "text.positional_embedding is (60, 64), not (77, 64)"
            in self.refusal(f"EVA-tiny:{tmp_path / 'w.pt'}").message
        )
