"""Models load from folders and openai-style files with the activation of their origin; errors are one line."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image
from support.clip_models import make_tiny

from trainers.errors import TrainerError
from trainers.models.clip_model import BPE_FILE, CONFIG_FILE, WEIGHTS_FILE, hash_state
from trainers.models.loading import _from_name, load_model
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


def test_hashes_differ_by_tower() -> None:
    one, other = make_tiny(), make_tiny()
    other.model.ln_final.weight.data[0] += 1
    assert one.visual_hash == other.visual_hash
    assert one.model_hash != other.model_hash


def test_the_hashes_know_more_than_weights(tmp_path: Path) -> None:
    """Activation, heads and preprocessing change every feature, and no weight tells of them."""
    tiny = make_tiny()
    save_model(tiny, tmp_path)
    path = tmp_path / CONFIG_FILE
    config = json.loads(path.read_text())
    hashes = {tiny.model_hash: tiny.visual_hash}
    for part, name, value in (
        ("model_cfg", "quick_gelu", True),
        ("text_cfg", "heads", 4),
        ("preprocess_cfg", "interpolation", "bilinear"),
    ):
        changed = json.loads(json.dumps(config))
        (changed if part in changed else changed["model_cfg"])[part][name] = value
        path.write_text(json.dumps(changed))
        other = load_model(str(tmp_path))
        assert hash_state(other.model.state_dict()) == hash_state(tiny.model.state_dict())
        hashes[other.model_hash] = other.visual_hash
    assert len(hashes) == 4
    assert len(set(hashes.values())) == 3, "the heads of the text tower are nothing to the image tower"


@pytest.mark.parametrize("wrapped", ["plain", "state_dict", "model"])
def test_openai_style_files_are_quickgelu_by_default(tmp_path: Path, wrapped: str) -> None:
    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    text = {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
    theirs = open_clip.CLIP(16, vision, text, quick_gelu=True).eval()
    state = theirs.state_dict()
    torch.save(state if wrapped == "plain" else {wrapped: state}, tmp_path / "m.pth")
    ours = load_model(str(tmp_path / "m.pth"))
    assert ours.activation == "quickgelu"
    expected = theirs.encode_text(ours.tokenizer(TEXTS), normalize=True)
    torch.testing.assert_close(ours.encode_texts(TEXTS), expected, atol=1e-6, rtol=0)
    plain = load_model(str(tmp_path / "m.pth"), quick_gelu=False)
    assert plain.activation == "gelu"
    assert (plain.encode_texts(TEXTS) - expected).abs().max() > 1e-5


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
        ("{tmp}/empty.safetensors", "holds no weights"),
        ("{tmp}/list.pth", "holds no weights"),
        ("{tmp}/flat.pth", "is not an openai-style CLIP"),
        ("{tmp}/odd", "damaged"),
        ("{tmp}/words", BPE_FILE),
    ],
)
def test_errors_are_one_line(tmp_path: Path, spec: str, message: str) -> None:
    (tmp_path / "bad.pth").write_bytes(b"not a checkpoint")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "empty.safetensors").touch()
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    torch.save({"visual.proj": torch.zeros(1), "visual.conv1.weight": torch.zeros(1)}, tmp_path / "flat.pth")
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


class TestNameWithFile:
    """NAME:FILE: the weights do not show the activation, so it is never guessed."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        (tmp_path / "w.pth").touch()
        return tmp_path / "w.pth"

    @pytest.fixture(autouse=True)
    def _record_calls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Record the arguments for open_clip instead of loading the 600 MB of a ViT-B-32."""
        monkeypatch.setattr(
            "trainers.models.loading._from_open_clip",
            lambda source, pretrained, quick, *, name, config: (source, quick, config.get("quick_gelu", False)),
        )

    def load_arguments(self, spec: str, quick: bool | None = None) -> object:
        return _from_name(spec, quick)

    def test_an_ambiguous_name_is_refused_with_a_hint(self, file: Path) -> None:
        with pytest.raises(TrainerError, match="neither the weights nor ViT-B-32 say") as refused:
            self.load_arguments(f"ViT-B-32:{file}")
        assert f"ViT-B-32-quickgelu:{file} for OpenAI or NegationCLIP weights" in refused.value.hint
        assert f"ViT-B-32-gelu:{file} for others" in refused.value.hint

    def test_the_ending_decides(self, file: Path) -> None:
        assert self.load_arguments(f"ViT-B-32-quickgelu:{file}") == ("ViT-B-32-quickgelu", None, True)
        assert self.load_arguments(f"ViT-B-32-gelu:{file}") == ("ViT-B-32", False, False)
        assert self.load_arguments(f"ViT-B-32:{file}", quick=True) == ("ViT-B-32", True, False)

    def test_a_name_with_one_activation_needs_no_ending(self, file: Path) -> None:
        assert self.load_arguments(f"ViT-B-32-256:{file}") == ("ViT-B-32-256", None, False)

    def test_a_config_beside_the_file_decides(self, file: Path) -> None:
        config = {"model_cfg": {"quick_gelu": True}}
        (file.parent / CONFIG_FILE).write_text(json.dumps(config))
        assert self.load_arguments(f"ViT-B-32:{file}") == ("ViT-B-32", True, False)

    def test_tags_are_as_open_clip_has_them(self) -> None:
        assert self.load_arguments("ViT-B-32:openai") == ("ViT-B-32", True, False)
        assert self.load_arguments("ViT-B-32:laion2b_s34b_b79k") == ("ViT-B-32", None, False)
