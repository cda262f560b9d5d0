"""Models load from folders and openai-style files with the activation of their origin; errors are one line."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from PIL import Image
from support.clip_models import make_tiny

from trainers.errors import TrainerError
from trainers.models import clip_model
from trainers.models.clip_model import BPE_FILE, CONFIG_FILE, WEIGHTS_FILE, hash_state, hash_structure
from trainers.models.loading import load_model
from trainers.models.saving import save_model, save_pth

TEXTS = ["a dog with a red hat", "no cat", "a bench without a cup on it"]


def test_a_folder_comes_back_and_open_clip_reads_it(tmp_path: Path) -> None:
    tiny = make_tiny()
    save_model(tiny, tmp_path / "m")
    again = load_model(str(tmp_path / "m"))
    theirs = open_clip.create_model(f"local-dir:{tmp_path / 'm'}")
    assert again.model_hash == tiny.model_hash
    assert hash_state(again.model.state_dict()) == hash_state(theirs.state_dict())
    assert again.preprocess_config == tiny.preprocess_config
    assert (again.arch, again.context_length, again.embed_dim) == ("ViT-p16-32-32px-text-32x2", 24, 16)
    torch.testing.assert_close(again.encode_texts(TEXTS), theirs.encode_text(again.tokenizer(TEXTS), normalize=True))
    picture = Image.new("L", (50, 40), 90)
    expected = theirs.encode_image(again.preprocess(picture)[None], normalize=True)
    torch.testing.assert_close(again.encode_images([picture]), expected)


def test_a_hash_does_not_depend_on_the_state_of_use(tmp_path: Path) -> None:
    """The same model has one hash: built or loaded, training or not, with all defaults written out."""
    tiny = make_tiny()
    before = tiny.model_hash
    tiny.model.set_grad_checkpointing()
    tiny.model.train().requires_grad_(False)
    assert tiny.model_hash == before
    save_model(tiny, tmp_path)
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    config["model_cfg"]["text_cfg"] |= {"pool_type": "argmax", "no_causal_mask": False, "norm_kwargs": {"eps": 1e-5}}
    (tmp_path / CONFIG_FILE).write_text(json.dumps(config))
    assert load_model(str(tmp_path)).model_hash == before
    theirs = open_clip.create_model(f"local-dir:{tmp_path}")
    assert hash_structure(theirs) == hash_structure(tiny.model)


def test_models_with_different_context_lengths_cut_texts_at_their_own() -> None:
    models = [make_tiny(context_length=length) for length in (6, 24, 6)]
    words = ["no dog " * 20]
    for model, length in zip(models, (6, 24, 6), strict=True):
        theirs = open_clip.tokenizer.SimpleTokenizer(context_length=length)(words)
        assert torch.equal(model.tokenizer(words), theirs)
        assert theirs.shape == (1, length)


def test_hashes_differ_by_tower() -> None:
    one, other = make_tiny(), make_tiny()
    other.model.ln_final.weight.data[0] += 1
    assert one.visual_hash == other.visual_hash
    assert one.model_hash != other.model_hash


def test_weights_are_hashed_once_until_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Describing a model twice reads each tower once, and the whole model once."""
    tiny, read = make_tiny(), []
    monkeypatch.setattr(clip_model, "hash_state", lambda state: read.append(len(state)) or hash_state(state))
    described = tiny.describe()
    assert tiny.describe() == described
    assert described["model_hash"] == tiny.model_hash
    weights = [count for count in read if count > 1]  # hash_structure hashes the buffers without weights
    assert sorted(weights) == sorted([len(tiny.model.visual.state_dict()), len(tiny.model.state_dict())])
    tiny.model.ln_final.weight.requires_grad_(False).add_(1)
    assert tiny.describe()["model_hash"] != described["model_hash"]
    assert tiny.describe()["visual_hash"] == described["visual_hash"]


def _step(model: Any) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    sum(value.sum() for value in model.parameters() if value.requires_grad).backward()
    optimizer.step()


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()}),
        lambda model: model.load_state_dict(
            {name: value + 1 for name, value in model.state_dict().items()}, assign=True
        ),
        lambda model: model.half().float(),
        lambda model: setattr(model, "text_projection", torch.nn.Parameter(model.text_projection.detach() * 2)),
        lambda model: model.ln_final.weight.data.zero_(),
        lambda model: model.token_embedding.weight.requires_grad_(False)[0, 1].add_(1),  # no value of the probe
        _step,
    ],
    ids=["loaded", "assigned", "rounded", "replaced", "written-through-data", "one-value", "optimised"],
)
def test_every_change_of_weights_changes_the_hash(change: Callable[[Any], object]) -> None:
    tiny = make_tiny()
    before = tiny.model_hash
    change(tiny.model)
    after = tiny.model_hash
    assert after == replace(tiny, model=copy.deepcopy(tiny.model)).model_hash  # hashed anew
    assert after != before


def test_inference_tensors_are_hashed_each_time() -> None:
    """They do not count their changes."""
    with torch.inference_mode():
        tiny = make_tiny()
        before = tiny.model_hash
        tiny.model.ln_final.weight[0] += 1
        assert tiny.model_hash != before


def test_the_hashes_know_more_than_weights(tmp_path: Path) -> None:
    """Activation, heads, pooling, mask, eps and preprocessing change every feature, and no weight shows them."""
    tiny = make_tiny()
    save_model(tiny, tmp_path)
    path = tmp_path / CONFIG_FILE
    config = json.loads(path.read_text())
    hashes = {tiny.model_hash: tiny.visual_hash}
    for part, name, value in (
        ("model_cfg", "quick_gelu", True),
        ("text_cfg", "heads", 4),
        ("text_cfg", "pool_type", "last"),
        ("text_cfg", "eos_id", 3),
        ("text_cfg", "no_causal_mask", True),
        ("text_cfg", "norm_kwargs", {"eps": 1e-6}),
        ("preprocess_cfg", "interpolation", "bilinear"),
    ):
        changed = json.loads(json.dumps(config))
        (changed if part in changed else changed["model_cfg"])[part][name] = value
        path.write_text(json.dumps(changed))
        other = load_model(str(tmp_path))
        assert hash_state(other.model.state_dict()) == hash_state(tiny.model.state_dict())
        hashes[other.model_hash] = other.visual_hash
    assert len(hashes) == 8
    assert len(set(hashes.values())) == 3, "the image tower does not depend on the text tower"


def test_a_config_beside_the_file_supplies_heads_and_activation(tmp_path: Path) -> None:
    tiny = make_tiny()
    save_model(tiny, tmp_path)
    save_pth(tiny, tmp_path / "model.pth")
    (tmp_path / WEIGHTS_FILE).unlink()
    again = load_model(str(tmp_path / "model.pth"))
    assert again.activation == "gelu"
    torch.testing.assert_close(again.encode_texts(TEXTS), tiny.encode_texts(TEXTS))


def test_half_weights_become_float(tmp_path: Path) -> None:
    tiny = make_tiny()
    save_model(tiny, tmp_path)
    from safetensors.torch import save_file

    save_file({k: v.half() for k, v in tiny.model.state_dict().items()}, tmp_path / WEIGHTS_FILE)
    assert {p.dtype for p in load_model(str(tmp_path)).model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ViT-B-99", "there is no model"),
        ("ViT-B-32", "needs weights"),
        ("ViT-B-32:nothing", "cannot be loaded"),
        ("none.pth", "there is no file"),
        ("{tmp}", f"has no {CONFIG_FILE}"),
        ("{tmp}/bad.pth", "holds no weights"),
        ("{tmp}/empty.pth", "holds no weights: EOFError"),
        ("{tmp}/empty.safetensors", "is damaged"),
        ("{tmp}/list.pth", "holds no weights"),
        ("gelu:{tmp}/flat.pth", "is not an openai-style CLIP"),
        ("{tmp}/odd", "damaged"),
        ("{tmp}/words", BPE_FILE),
    ],
)
def test_errors_are_one_line(tmp_path: Path, spec: str, message: str) -> None:
    (tmp_path / "bad.pth").write_bytes(b"not a checkpoint")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "empty.safetensors").touch()
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    names = ("token_embedding.weight", "visual.proj", "visual.conv1.weight")
    torch.save(dict.fromkeys(names, torch.zeros(1)), tmp_path / "flat.pth")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / CONFIG_FILE).write_text("{")
    tiny = make_tiny()
    save_model(tiny, tmp_path / "words")
    config = (tmp_path / "words" / CONFIG_FILE).read_text().replace("49408", "700")
    (tmp_path / "words" / CONFIG_FILE).write_text(config)
    with pytest.raises(TrainerError, match=message) as caught:
        load_model(spec.format(tmp=tmp_path))
    assert "\n" not in caught.value.message


def test_a_files_weights_are_found_where_a_colon_is_in_the_path(tmp_path: Path) -> None:
    (tmp_path / "run:1").mkdir()
    save_model(make_tiny(), tmp_path / "run:1" / "m")
    save_pth(make_tiny(), tmp_path / "run:1" / "m" / "model.pth")
    for spec in (tmp_path / "run:1" / "m", tmp_path / "run:1" / "m" / "model.pth"):
        assert load_model(str(spec)).model_hash == make_tiny().model_hash
    with pytest.raises(TrainerError, match="no model, file or folder"):
        load_model(str(tmp_path / "run:2" / "model.pth"))


def test_loading_changes_no_default_of_open_clip(tmp_path: Path) -> None:
    """Names of open_clip come back as its table has them, whatever was loaded before."""
    before = json.dumps(open_clip.get_model_config("ViT-B-32"))
    with pytest.raises(TrainerError):
        load_model("ViT-B-32-gelu:nothing")
    assert json.dumps(open_clip.get_model_config("ViT-B-32")) == before


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    tiny = make_tiny()
    tiny.model.ln_final.weight.data[3] = torch.nan
    save_model(tiny, tmp_path)
    with pytest.raises(TrainerError, match=r"not finite: ln_final\.weight"):
        load_model(str(tmp_path))


def test_a_folder_of_the_hub_loads_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "models--someone--clip"
    save_model(make_tiny(), repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    loaded = load_model("hf-hub:someone/clip")
    assert (loaded.name, loaded.model_hash) == ("hf-hub:someone/clip", make_tiny().model_hash)
    with pytest.raises(TrainerError, match="the weights of hf-hub:someone/none cannot be loaded"):
        load_model("hf-hub:someone/none")
