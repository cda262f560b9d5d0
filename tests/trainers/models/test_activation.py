"""The activation and the sizes of a weight file are asked for or proven, never guessed, whatever the file is called."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from support.clip_models import TINY, make_tiny

from trainers.errors import ModelRefused
from trainers.models.clip_model import ClipModel
from trainers.models.loading import load_model
from trainers.models.saving import save_model, save_pth

TEXTS = ["a dog with a red hat", "no cat"]
SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


def openai_model(*, half: bool = False, **changes: Any) -> Any:
    """A small model of open_clip with QuickGELU; with `half`, its image tower has half-precision values in float32."""
    torch.manual_seed(0)
    model = open_clip.CLIP(**(SMALL | changes), quick_gelu=True).eval()
    if half:
        for value in model.visual.parameters():
            value.data = value.data.half().float()
    return model


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save(openai_model().state_dict(), tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> str:
    """Register the small model's architecture with open_clip, in both forms."""
    configs = open_clip.factory._MODEL_CONFIGS
    monkeypatch.setitem(configs, "ViT-S-99", SMALL)
    monkeypatch.setitem(configs, "ViT-S-99-quickgelu", SMALL | {"quick_gelu": True})
    return "ViT-S-99"


def refusal(spec: str) -> ModelRefused:
    with pytest.raises(ModelRefused) as refused:
        load_model(spec)
    return refused.value


class TestOneFileIsOneModel:
    def test_however_it_is_spelled(self, file: Path, named: str) -> None:
        save = {spec: load_model(spec) for spec in (f"quickgelu:{file}", f"{named}-quickgelu:{file}")}
        assert len({loaded.model_hash for loaded in save.values()}) == 1
        assert load_model(str(file), quick_gelu=True).model_hash in {loaded.model_hash for loaded in save.values()}
        plain = {load_model(spec).model_hash for spec in (f"gelu:{file}", f"{named}-gelu:{file}")}
        assert len(plain) == 1
        expected = openai_model().encode_text(load_model(f"quickgelu:{file}").tokenizer(TEXTS), normalize=True)
        torch.testing.assert_close(next(iter(save.values())).encode_texts(TEXTS), expected, atol=1e-6, rtol=0)

    @pytest.mark.parametrize(
        ("part", "name", "value", "message"),
        [
            ("vision_cfg", "image_size", 48, "image size 32 and 48"),
            ("text_cfg", "context_length", 60, "context length 24 and 60"),
            ("vision_cfg", "patch_size", 8, "patch size 16 and 8"),
            ("text_cfg", "layers", 2, "text layers 1 and 2"),
        ],
    )
    def test_position_embeddings_are_never_resized(
        self, tmp_path: Path, named: str, part: str, name: str, value: int, message: str
    ) -> None:
        changes = {part: SMALL[part] | {name: value}}
        torch.save(openai_model(**changes).state_dict(), tmp_path / "w.pth")
        assert message in refusal(f"{named}-quickgelu:{tmp_path / 'w.pth'}").message
        loaded = load_model(f"quickgelu:{tmp_path / 'w.pth'}")
        assert loaded.config[part][name] == value

    def test_a_config_of_other_sizes_beside_the_file_is_refused(self, tmp_path: Path) -> None:
        save_model(make_tiny(context_length=30), tmp_path / "m")
        save_pth(make_tiny(context_length=20), tmp_path / "m" / "other.pth")
        error = refusal(str(tmp_path / "m" / "other.pth"))
        assert "positional_embedding is (20, 32), not (30, 32)" in error.message

    def test_heads_come_from_the_architecture_with_the_same_sizes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from trainers.models import architecture

        wide = {"vision_cfg": SMALL["vision_cfg"] | {"width": 160, "head_width": 80}}
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-wide", SMALL | wide)
        monkeypatch.setattr(architecture, "_known_by_sizes", architecture._known_by_sizes.__wrapped__)
        torch.save(openai_model(**wide).state_dict(), tmp_path / "w.pth")
        loaded = load_model(f"quickgelu:{tmp_path / 'w.pth'}")
        assert loaded.model.visual.transformer.resblocks[0].attn.num_heads == 2


class TestTheActivationIsNeverGuessed:
    def test_a_file_without_proof_is_refused(self, file: Path) -> None:
        error = refusal(str(file))
        assert "the weights do not show QuickGELU or GELU" in error.message
        assert f"quickgelu:{file}" in error.hint
        assert f"gelu:{file}" in error.hint

    def test_the_hint_follows_the_table_of_open_clip(self, tmp_path: Path) -> None:
        """LAION-400M and MetaCLIP used QuickGELU for B/32; LAION-400M did not for L/14."""
        torch.save(openai_model().state_dict(), tmp_path / "w.pth")
        quick, _, plain = refusal(f"ViT-B-32:{tmp_path / 'w.pth'}").hint.partition("; ViT-B-32-gelu:")
        assert "ViT-B-32-quickgelu:" in quick
        assert all(tag in quick for tag in ("openai", "laion400m_e32", "metaclip_400m", "NegationCLIP"))
        assert "laion2b" in plain
        assert "laion400m" not in plain
        quick, _, plain = refusal(f"ViT-L-14:{tmp_path / 'w.pth'}").hint.partition("; ViT-L-14-gelu:")
        assert "laion400m" not in quick
        assert "laion400m_e32" in plain

    def test_a_config_beside_it_proves_it(self, tmp_path: Path) -> None:
        tiny = make_tiny()
        for folder in (tmp_path / "run" / "model", tmp_path / "folder"):
            save_model(tiny, folder)
        save_pth(tiny, tmp_path / "run" / "model.pth")
        save_pth(tiny, tmp_path / "folder" / "any.pth")
        for path in (tmp_path / "run" / "model.pth", tmp_path / "folder" / "any.pth"):
            assert load_model(str(path)).model_hash == tiny.model_hash

    def test_published_negationclip_files_are_quickgelu(self, tmp_path: Path) -> None:
        path = tmp_path / "negationclip_ViT-B32.pth"
        torch.save(openai_model(half=True).state_dict(), path)
        assert load_model(str(path)).activation == "quickgelu"
        torch.save(openai_model().state_dict(), path)
        assert "unknown" in refusal(str(path)).message, "a name alone proves nothing"

    def test_files_of_open_clips_table_are_known_by_their_hash(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sha = hashlib.sha256(file.read_bytes()).hexdigest()
        table = open_clip.pretrained._PRETRAINED
        for start, quick in (("https://x/models/" + sha, True), (f"https://x/v1/w-{sha[:8]}", False)):
            url = f"{start}/published.pt" if quick else f"{start}.pt"
            path = file.with_name(url.rpartition("/")[2])
            shutil.copy(file, path)
            monkeypatch.setitem(table, "ViT-new", {"tag": {"url": url, "quick_gelu": quick}})
            assert load_model(str(path)).activation == ("quickgelu" if quick else "gelu")
            path.write_bytes(path.read_bytes() + b" ")
            assert "unknown" in refusal(str(path)).message

    def test_an_architecture_that_is_only_published_with_gelu_needs_no_ending(
        self, file: Path, named: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table = open_clip.pretrained._PRETRAINED
        monkeypatch.setitem(table, named, {"some": {"url": ""}})
        assert load_model(f"{named}:{file}").activation == "gelu"
        monkeypatch.setitem(table, named, {"some": {"url": ""}, "other": {"url": "", "quick_gelu": True}})
        assert "unknown" in refusal(f"{named}:{file}").message

    def test_a_name_that_open_clip_has_once_takes_both_endings(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-once", SMALL)
        assert load_model(f"ViT-once-quickgelu:{file}").activation == "quickgelu"
        assert load_model(f"ViT-once-gelu:{file}").activation == "gelu"


class TestWarnings:
    @pytest.fixture(autouse=True)
    def published(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the small models have the sizes of models that OpenAI published."""
        for name, config in {"ViT-S-99": SMALL, "ViT-S-98": TINY}.items():
            monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)
            monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, {"openai": {"url": ""}})

    def warnings_of(self, model: Any, tmp_path: Path, spec: str = "gelu:") -> tuple[str, ...]:
        torch.save(model, tmp_path / "w.pth")
        return load_model(f"{spec}{tmp_path / 'w.pth'}").warnings

    def test_openai_weights_in_plain_gelu_are_warned_of(self, tmp_path: Path) -> None:
        (warning,) = self.warnings_of(openai_model(half=True).state_dict(), tmp_path)
        assert "plain GELU" in warning
        assert "QuickGELU" in warning

    def test_no_false_alarm(self, tmp_path: Path) -> None:
        state = openai_model(half=True).state_dict()
        assert self.warnings_of(state, tmp_path, "quickgelu:") == ()
        assert self.warnings_of(openai_model().state_dict(), tmp_path) == ()
        rounded = {name: value.half() for name, value in openai_model().state_dict().items()}
        assert self.warnings_of(rounded, tmp_path) == (), "a file in half precision shows nothing"

    def test_a_folder_of_open_clip_is_checked_too(self, tmp_path: Path) -> None:
        tiny: ClipModel = make_tiny()
        for value in tiny.model.visual.parameters():
            value.data = value.data.half().float()
        save_model(tiny, tmp_path)
        assert TINY.get("quick_gelu") is None
        assert len(load_model(str(tmp_path)).warnings) == 1

    def test_sizes_that_openai_never_published_raise_no_alarm(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(open_clip.pretrained._PRETRAINED, "ViT-S-99")
        assert self.warnings_of(openai_model(half=True).state_dict(), tmp_path) == ()
