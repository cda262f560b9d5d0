"""A model saved as folder of open_clip, as .pth and as folder of transformers gives the same features everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.model import build_model_from_openai_state_dict
from PIL import Image
from support.clip_models import TINY, draw_pictures
from torch import Tensor
from torch.nn import functional

from trainers.errors import ModelRefused, TrainerError
from trainers.models.clip_model import ClipModel, build
from trainers.models.loading import load_model
from trainers.models.saving import check_can_save, save_hf, save_model, save_pth

TEXTS = ["a dog with a red hat", "no cat", "a bench without a cup on it", "Two dogs don't run!"]
ARCHITECTURES = ["ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336"]
TOLERANCE = 1e-6


def reduced(architecture: str) -> dict[str, Any]:
    """The architecture with its image and patch size, two layers and two or three heads of its own width."""
    config = open_clip.get_model_config(architecture)
    config["vision_cfg"] |= {"layers": 2, "width": 128}
    config["text_cfg"] |= {"layers": 2, "width": 192, "heads": 3}
    return config | {"embed_dim": 32}


def random_model(config: dict[str, Any], *, quick_gelu: bool) -> ClipModel:
    torch.manual_seed(0)
    built = build(config | {"quick_gelu": quick_gelu}, {}, name="random", arch="random")
    for value in built.model.parameters():  # norms and biases start as ones and zeros, which hide errors
        value.data += 0.02 * torch.randn(value.shape)
    return built


def pixels_of(model: ClipModel) -> Tensor:
    size = model.config["vision_cfg"]["image_size"]
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def features(model: Any, ids: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    return (
        functional.normalize(model.encode_text(ids), dim=-1),
        functional.normalize(model.encode_image(pixels), dim=-1),
    )


@torch.no_grad()
def hf_features(folder: Path, ids: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    from transformers import CLIPModel

    model = CLIPModel.from_pretrained(folder).eval()
    text = model.text_projection(model.text_model(input_ids=ids).pooler_output)
    image = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
    return functional.normalize(text, dim=-1), functional.normalize(image, dim=-1)


def check_all_forms(model: ClipModel, folder: Path, tolerance: float = TOLERANCE) -> None:
    """Save the model in all three forms; open each with its own library and with ours."""
    save_model(model, folder / "open_clip")
    save_pth(model, folder / "openai.pth")
    save_hf(model, folder / "hf")
    ids, pixels = model.tokenizer(TEXTS), pixels_of(model)
    expected = features(model.model, ids, pixels)
    quick_gelu = bool(model.config["quick_gelu"])
    opened: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {  # one after the other: the largest model has 1.7 GB
        "open_clip": lambda: features(open_clip.create_model(f"local-dir:{folder / 'open_clip'}").eval(), ids, pixels),
        "OpenAI": lambda: features(openai_class(folder / "openai.pth", quick_gelu=quick_gelu), ids, pixels),
        "transformers": lambda: hf_features(folder / "hf", ids, pixels),
    }
    for name, actual in opened.items():
        compare(expected, actual(), name, tolerance)
    openai = f"{'quickgelu' if quick_gelu else 'gelu'}:{folder / 'openai.pth'}"
    for spec in (str(folder / "open_clip"), openai, str(folder / "hf")):
        loaded = load_model(spec)
        assert loaded.model_hash == model.model_hash
        compare(expected, features(loaded.model, ids, pixels), spec, tolerance)


def compare(
    expected: tuple[Tensor, Tensor], actual: tuple[Tensor, Tensor], name: str, tolerance: float = TOLERANCE
) -> None:
    for tower, ours, other in zip(("text", "image"), expected, actual, strict=True):
        difference = float((ours - other).abs().max())
        print(f"{name}, {tower} tower: {difference:.1e}")  # noqa: T201  # shown by pytest -rP
        assert difference <= tolerance, f"{name}, {tower} tower: {difference:.1e}"


def openai_class(path: Path, *, quick_gelu: bool) -> Any:
    """Load a state dict as the published evaluator does: OpenAI's class in float32, with strict names."""
    state = torch.load(path, weights_only=True)
    model = build_model_from_openai_state_dict(dict(state), quick_gelu=quick_gelu, cast_dtype=torch.float32).float()
    model.load_state_dict(state)
    return model.eval()


@pytest.mark.parametrize(
    "architecture", [ARCHITECTURES[0], *(pytest.param(each, marks=pytest.mark.long) for each in ARCHITECTURES[1:])]
)
def test_every_tower_size(tmp_path: Path, architecture: str) -> None:
    check_all_forms(random_model(reduced(architecture), quick_gelu=True), tmp_path)


def test_plain_gelu(tmp_path: Path) -> None:
    check_all_forms(random_model(reduced("ViT-B-32"), quick_gelu=False), tmp_path)
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["text_config"]["hidden_act"] == "gelu"


@pytest.mark.long
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_tower_in_full_size(tmp_path: Path, architecture: str) -> None:
    model = random_model(open_clip.get_model_config(architecture), quick_gelu=True)
    assert load_model_of(model, tmp_path).arch == architecture
    (tmp_path / "w.pth").unlink()
    check_all_forms(model, tmp_path / "forms")


def load_model_of(model: ClipModel, folder: Path) -> ClipModel:
    save_pth(model, folder / "w.pth")
    return load_model(f"quickgelu:{folder / 'w.pth'}")


class TestTransformers:
    @pytest.fixture(scope="class")
    def theirs(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A folder that transformers itself has written, with values that differ from all defaults."""
        from transformers import CLIPConfig, CLIPModel

        folder = tmp_path_factory.mktemp("theirs")
        torch.manual_seed(0)
        towers = {"hidden_act": "gelu", "num_hidden_layers": 2, "intermediate_size": 96}
        config = CLIPConfig(
            projection_dim=24,
            vision_config=towers
            | {"hidden_size": 64, "num_attention_heads": 4, "image_size": 32, "patch_size": 8, "layer_norm_eps": 1e-3},
            text_config=towers
            | {"hidden_size": 48, "num_attention_heads": 3, "max_position_embeddings": 20, "eos_token_id": 49407},
        )
        CLIPModel(config).save_pretrained(folder)
        return folder

    def test_a_folder_of_transformers_loads(self, theirs: Path) -> None:
        ours = load_model(str(theirs))
        assert (ours.activation, ours.embed_dim, ours.context_length) == ("gelu", 24, 20)
        ids, pixels = ours.tokenizer(TEXTS), pixels_of(ours)
        for mine, other in zip(features(ours.model, ids, pixels), hf_features(theirs, ids, pixels), strict=True):
            torch.testing.assert_close(mine, other, atol=TOLERANCE, rtol=0)

    def test_shards(self, theirs: Path, tmp_path: Path) -> None:
        from transformers import CLIPModel

        CLIPModel.from_pretrained(theirs).save_pretrained(tmp_path, max_shard_size="2MB")
        assert (tmp_path / "model.safetensors.index.json").is_file()
        assert load_model(str(tmp_path)).model_hash == load_model(str(theirs)).model_hash

    def test_text_model_and_processor_open_a_saved_folder(self, tmp_path: Path) -> None:
        from transformers import CLIPProcessor, CLIPTextModel

        model = random_model(TINY, quick_gelu=True)
        save_hf(model, tmp_path)
        text_model, processor = CLIPTextModel.from_pretrained(tmp_path).eval(), CLIPProcessor.from_pretrained(tmp_path)
        ids = processor(text=TEXTS, padding="max_length", return_tensors="pt").input_ids
        ours = model.tokenizer(TEXTS)
        ends = ours.argmax(dim=-1)
        for row, end in enumerate(ends.tolist()):
            assert ids[row, : end + 1].tolist() == ours[row, : end + 1].tolist(), "the padding differs by design"
        with torch.no_grad():
            pooled = text_model(input_ids=ids).pooler_output @ model.model.text_projection
        torch.testing.assert_close(functional.normalize(pooled, dim=-1), model.encode_texts(TEXTS), atol=1e-6, rtol=0)

    def test_the_image_processor_is_our_preprocessing(self, tmp_path: Path) -> None:
        from transformers import CLIPImageProcessor

        model = random_model(TINY, quick_gelu=True)
        save_hf(model, tmp_path)
        again = load_model(str(tmp_path))
        assert again.preprocess_config == model.preprocess_config
        processor = CLIPImageProcessor.from_pretrained(tmp_path)
        for path in draw_pictures(tmp_path / "images", 2):
            image = Image.open(path).convert("RGB").crop((2, 0, 38, 36))  # else the centre is rounded differently
            theirs = processor(image, return_tensors="pt").pixel_values[0]
            assert (model.preprocess(image) - theirs).abs().max() < 0.02

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"model_type": "siglip"}, "a model of type siglip"),
            ({"model_type": "\x1b[31m"}, "not a CLIPModel"),
            ({"text_config": {"hidden_act": "gelu_new"}}, "the activation gelu"),
            ({"vision_config": {"hidden_size": 0}}, "damaged"),
            ({"vision_config": {"hidden_size": "many"}}, "damaged"),
        ],
    )
    def test_other_folders_are_refused_in_one_line(
        self, theirs: Path, tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        config = json.loads((theirs / "config.json").read_text())
        for name, value in change.items():
            config[name] = {**config[name], **value} if isinstance(value, dict) else value
        (tmp_path / "config.json").write_text(json.dumps(config))
        (tmp_path / "model.safetensors").symlink_to(theirs / "model.safetensors")
        with pytest.raises(ModelRefused, match=message) as refused:
            load_model(str(tmp_path))
        assert "\n" not in refused.value.message
        assert "\x1b" not in refused.value.message


class TestWhatAFormCannotExpress:
    def test_is_refused_before_it_is_needed(self) -> None:
        torch.manual_seed(0)
        pooled = TINY | {"vision_cfg": TINY["vision_cfg"] | {"attentional_pool": True, "attn_pooler_heads": 2}}
        model = build(pooled, {}, name="pooled", arch="pooled")
        with pytest.raises(ModelRefused, match="its towers are not OpenAI's"):
            check_can_save(model, pth=True, hf=False)
        with pytest.raises(ModelRefused, match="it has attentional_pool"):
            check_can_save(model, pth=False, hf=True)
        assert check_can_save(model, pth=False, hf=False) == []

    def test_gelu_in_a_pth_is_warned_of(self) -> None:
        assert "opened with QuickGELU" in check_can_save(random_model(TINY, quick_gelu=False), pth=True, hf=True)[0]
        assert check_can_save(random_model(TINY, quick_gelu=True), pth=True, hf=True) == []

    def test_a_custom_text_clip_with_openai_towers_becomes_one(self, tmp_path: Path) -> None:
        model = random_model(TINY | {"custom_text": True}, quick_gelu=True)
        save_pth(model, tmp_path / "w.pth")
        again = load_model(f"quickgelu:{tmp_path / 'w.pth'}")
        save_model(model, tmp_path / "folder")
        assert load_model(str(tmp_path / "folder")).model_hash == model.model_hash
        torch.testing.assert_close(again.encode_texts(TEXTS).shape, model.encode_texts(TEXTS).shape)

    def test_a_logit_bias_is_left_out(self, tmp_path: Path) -> None:
        model = random_model(TINY | {"init_logit_bias": -5.0}, quick_gelu=True)
        save_pth(model, tmp_path / "w.pth")
        assert "logit_bias" not in torch.load(tmp_path / "w.pth", weights_only=True)
        save_hf(model, tmp_path / "hf")
        torch.testing.assert_close(load_model(str(tmp_path / "hf")).encode_texts(TEXTS), model.encode_texts(TEXTS))

    def test_a_resnet_has_a_pth_but_no_folder_of_transformers(self, tmp_path: Path) -> None:
        vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
        model = random_model(TINY | {"vision_cfg": vision}, quick_gelu=True)
        save_pth(model, tmp_path / "w.pth")
        with pytest.raises(TrainerError, match="not those of CLIP's ViT"):
            save_hf(model, tmp_path / "hf")
