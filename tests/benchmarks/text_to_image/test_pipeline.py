"""The swap of the text encoder, on a tiny pipeline that is loaded from its folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from support.clip_models import make_tiny
from support.tiny_diffusion import SIZE, make_pipeline

from benchmarks.errors import BenchError
from benchmarks.text_to_image.job import Sampling
from benchmarks.text_to_image.pipeline import TextToImage, encoder_hash, load_pipeline
from benchmarks.text_to_image.pipeline_folder import find_pipeline
from trainers.models.clip_model import ClipModel
from trainers.models.hf_text_encoder import text_encoder

TEXTS = ["a dog with no hat", "", "a red ball and a tree " * 20]
FEW = Sampling(steps=2, size=SIZE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("pipeline"), make_tiny(context_length=77))


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> TextToImage:
    return load_pipeline(find_pipeline(str(folder)))


def open_clip_states(model: ClipModel, tokens: torch.Tensor) -> torch.Tensor:
    """The hidden states of open_clip's text tower: every token, after the last layer norm, without a projection."""
    tower = model.model
    hidden = tower.token_embedding(tokens) + tower.positional_embedding
    hidden = tower.transformer(hidden, attn_mask=tower.attn_mask)
    return tower.ln_final(hidden)


def test_the_swapped_encoder_gives_the_hidden_states_of_the_run_at_all_77_tokens(pipeline: TextToImage) -> None:
    run = make_tiny(seed=5, context_length=77)
    with torch.no_grad():
        expected = open_clip_states(run, pipeline.token_ids(TEXTS))
    with pipeline.text_encoder(text_encoder(run)):
        found = pipeline.hidden_states(TEXTS)
    assert found.shape == (3, 77, 32)
    assert torch.allclose(found, expected, atol=1e-6, rtol=0)
    assert found[1].std(0).max() > 0.01, "padding is encoded, too"
    assert not torch.allclose(pipeline.hidden_states(TEXTS), expected, atol=0.1), "the original is back"


def test_quick_gelu_is_kept(pipeline: TextToImage) -> None:
    gelu = make_tiny(seed=5, context_length=77)
    quick = make_tiny(seed=5, context_length=77)
    quick.config = {**quick.config, "quick_gelu": True}
    with pipeline.text_encoder(text_encoder(gelu)):
        plain = pipeline.hidden_states(TEXTS)
    with pipeline.text_encoder(text_encoder(quick)):
        assert not torch.equal(pipeline.hidden_states(TEXTS), plain)
    assert encoder_hash(text_encoder(quick)) != encoder_hash(text_encoder(gelu))


def test_pictures_change_with_the_encoder_and_with_nothing_else(pipeline: TextToImage) -> None:
    texts, seeds = ["a dog with no hat", "a cat"], [3, 4]
    before = pipeline.pictures(texts, seeds, FEW)
    with pipeline.text_encoder(text_encoder(make_tiny(seed=5, context_length=77))):
        swapped = pipeline.pictures(texts, seeds, FEW)
    after = pipeline.pictures(texts, seeds, FEW)
    assert [image.size for image in before] == [(SIZE, SIZE)] * 2
    for first, other, again in zip(before, swapped, after, strict=True):
        assert first.tobytes() == again.tobytes()
        assert first.tobytes() != other.tobytes()


def test_a_picture_does_not_depend_on_its_batch(pipeline: TextToImage) -> None:
    alone = pipeline.pictures(["a cat"], [4], FEW)[0]
    together = pipeline.pictures(["a dog", "a cat"], [9, 4], FEW)[1]
    assert np.abs(np.asarray(alone, int) - np.asarray(together, int)).max() <= 1
    assert pipeline.pictures(["a cat"], [5], FEW)[0].tobytes() != alone.tobytes(), "the seed counts"


def test_the_hash_is_of_everything_but_the_text_encoder(tmp_path: Path, folder: Path, pipeline: TextToImage) -> None:
    other = make_pipeline(tmp_path / "other", make_tiny(seed=8, context_length=77))
    assert load_pipeline(find_pipeline(str(other))).hash == pipeline.hash
    scheduler = other / "scheduler" / "scheduler_config.json"
    values = json.loads(scheduler.read_text())
    scheduler.write_text(json.dumps(values | {"beta_end": 0.013}))
    assert load_pipeline(find_pipeline(str(other))).hash != pipeline.hash


def test_an_encoder_of_another_size_is_refused_in_one_line(pipeline: TextToImage) -> None:
    wide = text_encoder(make_tiny(width=64, context_length=77))
    with pytest.raises(BenchError, match=r"encoder of run-7 does not fit .*: width 64, not 32$") as raised:
        pipeline.check_fits(wide, "run-7")
    assert "ViT-L/14" in raised.value.hint
    with pytest.raises(BenchError, match="tokens 24, not 77"):
        pipeline.check_fits(text_encoder(make_tiny()), "run-7")
    pipeline.check_fits(text_encoder(make_tiny(seed=9, context_length=77)), "run-7")


@pytest.mark.parametrize("name", ["CompVis/stable-diffusion-v1-4", "my/own"])
def test_missing_weights_name_the_model_and_how_to_get_it(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BenchError) as raised:
        find_pipeline(name)
    assert raised.value.message == f"the pipeline {name} is not on this machine"
    assert f"hf download {name} " in raised.value.hint
    assert "--pipeline PATH" in raised.value.hint


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = make_pipeline(tmp_path / "pickled", make_tiny(context_length=77), safe=False)
    with pytest.raises(BenchError, match=r"unet of .* has pickled weights only \(diffusion_pytorch_model.bin\)"):
        find_pipeline(str(folder))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "copy")


def test_only_the_pickle_of_one_component_is_enough_to_refuse(copy: Path) -> None:
    (copy / "text_encoder" / "model.safetensors").rename(copy / "text_encoder" / "pytorch_model.bin")
    with pytest.raises(BenchError, match=r"text_encoder of .* has pickled weights only"):
        find_pipeline(str(copy))


def test_half_weights_alone_are_found(copy: Path) -> None:
    for stem in ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"):
        (copy / f"{stem}.safetensors").rename(copy / f"{stem}.fp16.safetensors")
    found = find_pipeline(str(copy))
    assert found.variant == "fp16"
    assert load_pipeline(found).tokens == 77


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "StableDiffusionXLPipeline"}, "is a StableDiffusionXLPipeline, not a StableDiffusionPipeline"),
        ({"unet": ["my_unet", "Evil"]}, "needs code of its own \\(unet of my_unet\\)"),
    ],
)
def test_foreign_pipelines_are_refused(copy: Path, change: dict[str, object], message: str) -> None:
    index = copy / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | change))
    with pytest.raises(BenchError, match=message):
        find_pipeline(str(copy))


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "there is no pipeline nowhere"), ("./a/b", "there is no pipeline"), ("v1.ckpt", "single weight file")],
)
def test_what_is_no_pipeline_is_named(name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        find_pipeline(name)


def test_damaged_folders_are_named(copy: Path) -> None:
    shutil.rmtree(copy / "tokenizer")
    with pytest.raises(BenchError, match="has no folder tokenizer"):
        find_pipeline(str(copy))
    (copy / "model_index.json").write_text("[")
    with pytest.raises(BenchError, match=r"model_index\.json is damaged"):
        find_pipeline(str(copy))
    (copy / "model_index.json").unlink()
    with pytest.raises(BenchError, match=r"is not a pipeline: it has no model_index\.json"):
        find_pipeline(str(copy))
