"""CLIPSeg with the text tower of another model: the vectors are that tower's, and CLIPSeg is restored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.segmentation import draw_image
from support.segmentation_models import CONFIG, make_clip, make_clipseg

from trainers.errors import ModelRefused
from trainers.models.clip_model import ClipModel, build
from trainers.models.layouts import from_hf
from trainers.models.routed import route_models
from trainers.models.saving import save_model
from trainers.segmentation.clipseg import ClipSeg, load_clipseg, raw_text_features

TEXTS = ["a dog", "a man who is not wearing a hat", "no cat", "the left one of two horses without a rider"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clipseg(tmp_path_factory.mktemp("models") / "clipseg", tokenizer=make_clip())


@pytest.fixture(scope="module")
def clipseg(folder: Path) -> ClipSeg:
    return load_clipseg(str(folder))


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return make_clip(seed=5)


@pytest.fixture
def image(tmp_path: Path) -> Image.Image:
    draw_image(tmp_path / "image.png")
    return Image.open(tmp_path / "image.png")


def test_vectors_are_those_of_the_other_text_tower(clipseg: ClipSeg, clip: ClipModel) -> None:
    vectors = clipseg.encode_texts(clip, TEXTS)
    expected = raw_text_features(clip, clip.tokenizer(TEXTS))
    assert (vectors - expected).abs().max() <= 1e-6
    unit = torch.nn.functional.normalize(vectors, dim=-1)
    assert (unit - clip.encode_texts(TEXTS)).abs().max() <= 1e-6
    own = clipseg.encode_texts_with_own_tower(TEXTS)
    assert (vectors - own).abs().max() > 0.1


def test_forward_pass_of_transformers_uses_the_other_text_tower(
    clipseg: ClipSeg, clip: ClipModel, image: Image.Image
) -> None:
    ids = clip.tokenizer(TEXTS[:2])
    pixels = clipseg._processor(images=[image.convert("RGB")] * 2, return_tensors="pt")["pixel_values"]
    with clipseg.text_tower(clip), torch.inference_mode():
        output = clipseg.model(input_ids=ids, pixel_values=pixels)
    assert (output.conditional_embeddings - raw_text_features(clip, ids)).abs().max() <= 1e-6
    large = torch.nn.functional.interpolate(
        output.logits[:, None], size=(image.height, image.width), mode="bilinear", align_corners=False
    )[:, 0]
    ours = clipseg.logits(image, clipseg.encode_texts(clip, TEXTS[:2]))
    assert (ours - large).abs().max() <= 1e-5


def test_masks_change_with_the_text_tower(clipseg: ClipSeg, clip: ClipModel, image: Image.Image) -> None:
    own = clipseg.logits(image, clipseg.encode_texts_with_own_tower(TEXTS)) > 0
    other = clipseg.logits(image, clipseg.encode_texts(clip, TEXTS)) > 0
    assert own.shape == (len(TEXTS), image.height, image.width)
    assert bool((own != other).any(dim=(1, 2)).all())


def test_text_tower_beside_another_kind_of_image_tower_is_used(clipseg: ClipSeg) -> None:
    config = {**CONFIG, "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}, "quick_gelu": True}
    resnet = build(config, {"mean": (0.5,) * 3, "std": (0.5,) * 3}, name="resnet", arch="RN-tiny")
    vectors = clipseg.encode_texts(resnet, TEXTS)
    assert (vectors - raw_text_features(resnet, resnet.tokenizer(TEXTS))).abs().max() <= 1e-6
    assert len(clipseg.doubts(resnet)) == 1


def test_own_text_tower_is_restored_bit_for_bit(clipseg: ClipSeg, clip: ClipModel) -> None:
    before = clipseg.text_hash, clipseg.encode_texts_with_own_tower(TEXTS)
    with clipseg.text_tower(clip):
        assert clipseg.text_hash != before[0]
    assert clipseg.text_hash == before[0]
    assert torch.equal(clipseg.encode_texts_with_own_tower(TEXTS), before[1])


def test_own_text_tower_is_restored_after_an_error(clipseg: ClipSeg, clip: ClipModel) -> None:
    before = clipseg.text_hash
    with pytest.raises(RuntimeError), clipseg.text_tower(clip):
        raise RuntimeError
    assert clipseg.text_hash == before


def test_routed_model_chooses_its_text_tower_for_each_text(clipseg: ClipSeg) -> None:
    base, tuned = make_clip(seed=5), make_clip(seed=6)
    tuned.model.visual = base.model.visual
    routed = clipseg.encode_texts(route_models(base, tuned), TEXTS)
    assert torch.equal(routed[0], clipseg.encode_texts(base, TEXTS)[0])
    assert (routed[1:] - clipseg.encode_texts(tuned, TEXTS)[1:]).abs().max() <= 1e-6


def test_single_text_and_many_texts_give_the_same_masks(clipseg: ClipSeg, clip: ClipModel, image: Image.Image) -> None:
    vectors = clipseg.encode_texts(clip, TEXTS)
    together = clipseg.logits(image, vectors)
    alone = torch.cat([clipseg.logits(image, vector[None]) for vector in vectors])
    assert (together - alone).abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 64}, "has the shape"),
        ({"layers": 3}, "only one has text_model.encoder.layers.2"),
        ({"heads": 4}, "its heads is 4 instead of 2"),
        ({"context_length": 40}, "has the shape"),
    ],
)
def test_text_tower_of_another_structure_is_refused(clipseg: ClipSeg, change: dict[str, int], reason: str) -> None:
    other, before = make_clip(**change), clipseg.text_hash
    with pytest.raises(ModelRefused, match=r"text tower of clip-0 does not fit") as error, clipseg.text_tower(other):
        pass
    assert reason in error.value.message
    assert clipseg.text_hash == before


def test_text_tower_that_gives_other_vectors_is_refused(clipseg: ClipSeg, clip: ClipModel) -> None:
    before, text_model = clipseg.text_hash, clipseg.model.clip.text_model
    text_model.eos_token_id, usual = 320, text_model.eos_token_id
    try:
        with pytest.raises(ModelRefused, match="gives other vectors"), clipseg.text_tower(clip):
            pass
    finally:
        text_model.eos_token_id = usual
    assert clipseg.text_hash == before


def test_model_with_another_image_tower_is_doubted(clipseg: ClipSeg, clip: ClipModel) -> None:
    (doubt,) = clipseg.doubts(clip)
    assert doubt.startswith("the image tower of clip-5 is not that of")
    same = make_clip(seed=7)
    tower = {key: value.clone() for key, value in clipseg.model.clip.state_dict().items()}
    ours = from_hf({key: value for key, value in tower.items() if key.startswith(("vision_model", "visual_proj"))})
    same.model.load_state_dict(ours, strict=False)
    assert clipseg.doubts(same) == []


def test_missing_weights_are_one_line_with_the_command_that_gets_them() -> None:
    with pytest.raises(ModelRefused) as error:
        load_clipseg()
    assert error.value.message == "there are no weights of the CLIPSeg model CIDAS/clipseg-rd64-refined on this machine"
    assert error.value.hint.startswith("get them with: hf download CIDAS/clipseg-rd64-refined")


def test_empty_folder_names_the_files_that_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="no weights") as error:
        load_clipseg(str(tmp_path))
    assert "model.safetensors" in error.value.hint


def test_weights_in_a_pickle_are_not_read(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "pickled"
    shutil.copytree(folder, copied)
    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    with pytest.raises(ModelRefused, match="no safetensors file"):
        load_clipseg(str(copied))


def test_incomplete_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "incomplete"
    shutil.copytree(folder, copied)
    state = load_file(copied / "model.safetensors")
    state.pop("decoder.film_mul.weight")
    save_file(state, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelRefused, match=r"lacks 1 weights of a CLIPSeg model: decoder\.film_mul\.weight"):
        load_clipseg(str(copied))


def test_damaged_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "damaged"
    shutil.copytree(folder, copied)
    (copied / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ModelRefused, match="cannot be loaded as a CLIPSeg model"):
        load_clipseg(str(copied))


def test_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    save_model(make_clip(), tmp_path / "clip")
    with pytest.raises(ModelRefused, match="CLIPSeg model"):
        load_clipseg(str(tmp_path / "clip"))


def test_hash_depends_on_the_decoder_and_not_on_the_text_tower(folder: Path, tmp_path: Path, clip: ClipModel) -> None:
    first, again = load_clipseg(str(folder)), load_clipseg(str(folder))
    assert (first.base_hash, first.text_hash) == (again.base_hash, again.text_hash)
    with first.text_tower(clip):
        inside = ClipSeg(first.name, first.model, first._processor)
        assert inside.base_hash == again.base_hash
    with torch.no_grad():
        again.model.decoder.film_add.bias.add_(1)
    assert ClipSeg(again.name, again.model, again._processor).base_hash != first.base_hash


def test_configuration_of_the_tiny_models_is_consistent(clipseg: ClipSeg) -> None:
    assert clipseg.model.config.projection_dim == CONFIG["embed_dim"]
