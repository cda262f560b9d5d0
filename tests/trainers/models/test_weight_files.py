"""Files that people have load: prefixes, containers, precisions, TorchScript; foreign ones are refused in one line."""

from __future__ import annotations

import argparse
import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from support.clip_models import make_tiny, zero_block

from trainers.errors import ModelRefused
from trainers.models.clip_model import WEIGHTS_FILE
from trainers.models.loading import load_model
from trainers.models.saving import save_model, save_pth
from trainers.models.torchscript import DamagedArchive, read_torchscript

TEXTS = ["a dog with a red hat", "no cat"]
VISION = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
TEXT = {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return open_clip.CLIP(16, VISION, TEXT, quick_gelu=True).eval()


def check(path: Path, model: Any, *, atol: float = 1e-6) -> None:
    """Load the file with QuickGELU and compare its features with the model's."""
    loaded = load_model(f"quickgelu:{path}")
    texts = model.encode_text(loaded.tokenizer(TEXTS), normalize=True)
    torch.testing.assert_close(loaded.encode_texts(TEXTS), texts.float(), atol=atol, rtol=0)
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(2, 3, 32, 32, generator=generator)
    theirs, ours = model.encode_image(pixels), loaded.model.encode_image(pixels)
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


def refusal(path: Path) -> ModelRefused:
    with pytest.raises(ModelRefused) as refused:
        load_model(f"quickgelu:{path}")
    assert "\n" not in refused.value.message
    return refused.value


def prefixed(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in state.items()}


PREFIXES = ["module.", "_orig_mod.", "clip.", "model.", "module._orig_mod.", "model.clip.", "net.student."]
CONTAINERS = ["state_dict", "model", "model_state_dict", "module", "weights"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes(tmp_path: Path, model: Any, prefix: str) -> None:
    others = {"criterion.weight": torch.zeros(3), "loss.scale": torch.ones(1)}
    torch.save(prefixed(model.state_dict(), prefix) | others, tmp_path / "w.pt")
    check(tmp_path / "w.pt", model)


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers(tmp_path: Path, model: Any, container: str) -> None:
    around = {"epoch": 3, "name": "x", "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": []}}
    torch.save(around | {container: model.state_dict()}, tmp_path / "w.pt")
    check(tmp_path / "w.pt", model)


def test_a_lightning_checkpoint_with_numpy_values(tmp_path: Path, model: Any) -> None:
    content = {
        "epoch": 2,
        "pytorch-lightning_version": "2.0",
        "state_dict": prefixed(model.state_dict(), "model."),
        "callbacks": {"best": np.float64(0.5), "steps": np.int64(4), "flag": np.bool_(True), "losses": np.ones(3)},
        "hyper_parameters": argparse.Namespace(lr=1e-6, names=["a"]),
    }
    torch.save(content, tmp_path / "w.ckpt")
    check(tmp_path / "w.ckpt", model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path: Path, model: Any, dtype: torch.dtype) -> None:
    torch.save({name: value.to(dtype) for name, value in model.state_dict().items()}, tmp_path / "w.pt")
    loaded = load_model(f"quickgelu:{tmp_path / 'w.pt'}")
    assert {value.dtype for value in loaded.model.parameters()} == {torch.float32}
    for name, value in loaded.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[name].to(dtype).float())


def test_custom_text_clip(tmp_path: Path, model: Any) -> None:
    custom = open_clip.CustomTextCLIP(16, VISION, TEXT, quick_gelu=True).eval()
    torch.save(custom.state_dict(), tmp_path / "w.pt")
    check(tmp_path / "w.pt", custom)
    torch.save(prefixed(custom.state_dict(), "module."), tmp_path / "w.pt")
    check(tmp_path / "w.pt", custom)


def test_a_logit_bias_is_kept(tmp_path: Path) -> None:
    biased = open_clip.CLIP(16, VISION, TEXT, quick_gelu=True, init_logit_bias=-7.0).eval()
    torch.save(biased.state_dict(), tmp_path / "w.pt")
    check(tmp_path / "w.pt", biased)
    assert load_model(f"quickgelu:{tmp_path / 'w.pt'}").model.logit_bias.item() == -7.0


def test_old_formats_of_torch(tmp_path: Path, model: Any) -> None:
    torch.save(model.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    check(tmp_path / "old.pth", model)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    check(tmp_path / "w.safetensors", model)


class TestTorchScript:
    @pytest.fixture(scope="class")
    def archive(self, tmp_path_factory: pytest.TempPathFactory, model: Any) -> Path:
        """An archive like OpenAI's: traced, with the sizes of the input among the buffers."""
        path = tmp_path_factory.mktemp("archive") / "ViT.pt"
        traced = open_clip.CLIP(16, VISION, TEXT, quick_gelu=True).eval()
        traced.load_state_dict(model.state_dict())
        traced.register_buffer("input_resolution", torch.tensor(32))
        pixels, ids = torch.zeros(1, 3, 32, 32), torch.ones(1, 24, dtype=torch.long)
        methods = {"forward": (pixels, ids), "encode_text": (ids,), "encode_image": (pixels,)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.trace_module(traced, methods, check_trace=False).save(path)
        return path

    def test_its_tensors_load_and_its_code_proves_the_activation(self, archive: Path, model: Any) -> None:
        check(archive, model)
        assert load_model(str(archive)).activation == "quickgelu"

    def test_its_tensors_are_those_of_torch(self, archive: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = torch.jit.load(archive).state_dict()
        state, quick_gelu = read_torchscript(archive)
        assert quick_gelu
        assert set(expected) - set(state) == {"attn_mask"}
        assert all(torch.equal(value, expected[name]) for name, value in state.items())

    def rewritten(self, archive: Path, tmp_path: Path, change: Any) -> Path:
        """Copy the archive with changed entries; `change` maps a name and its bytes to bytes."""
        path = tmp_path / "changed.pt"
        with zipfile.ZipFile(archive) as source, zipfile.ZipFile(path, "w") as target:
            for entry in source.infolist():
                target.writestr(entry.filename, change(entry.filename, source.read(entry)))
        return path

    def test_a_scripted_module_shows_it_in_its_code(self, tmp_path: Path) -> None:
        path = tmp_path / "m.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.script(Scripted()).save(path)
        state, quick_gelu = read_torchscript(path)
        assert quick_gelu
        assert {name: tuple(value.shape) for name, value in state.items()} == {"linear.weight": (2, 3), "scale": ()}

    def test_its_code_never_runs(self, archive: Path, tmp_path: Path) -> None:
        def break_code(name: str, content: bytes) -> bytes:
            return b"raise SystemExit(1.702)" if name.endswith(".py") else content

        path = self.rewritten(archive, tmp_path, break_code)
        state, _ = read_torchscript(path)
        assert all(torch.equal(value, state[name]) for name, value in read_torchscript(archive)[0].items())

    def test_a_pickle_that_calls_something_is_refused(self, archive: Path, tmp_path: Path) -> None:
        marker = tmp_path / "ran"
        path = self.rewritten(
            archive, tmp_path, lambda name, content: evil(marker) if name.endswith("/data.pkl") else content
        )
        with pytest.raises(DamagedArchive, match=r"unexpected name (posix|nt)\.system"):
            read_torchscript(path)
        assert "posix.system" in refusal(path).message
        assert not marker.exists()

    def test_a_short_record_is_refused(self, archive: Path, tmp_path: Path) -> None:
        path = self.rewritten(archive, tmp_path, lambda name, content: content[:-4] if "/data/3" in name else content)
        assert "record" in refusal(path).message


def evil(marker: Path) -> bytes:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {marker}",)

    return pickle.dumps(Evil(), protocol=2)


class TestRefusals:
    def test_a_pickle_that_would_run_code(self, tmp_path: Path) -> None:
        (tmp_path / "evil.pth").write_bytes(evil(tmp_path / "ran"))
        torch.save({"model": Thing()}, tmp_path / "object.pth")
        for name in ("evil.pth", "object.pth"):
            error = refusal(tmp_path / name)
            assert not any(
                word in f"{error.message} {error.hint}" for word in ("weights_only", "safe_globals", "trust")
            )
            assert "save only the weights" in error.hint
        assert "Thing" in refusal(tmp_path / "object.pth").message
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize(
        ("names", "nearest"),
        [
            (("visual_encoder.blocks.0.attn.qkv.weight", "text_encoder.x", "vision_proj.weight"), "BLIP"),
            (("base_model.model.q.lora_A.weight", "base_model.model.q.lora_B.weight"), "LoRA"),
            (("blocks.0.attn.qkv.weight", "patch_embed.proj.weight", "head.weight"), "timm"),
            (("abc", "def"), "no known layout"),
        ],
    )
    def test_an_unknown_layout_is_named_with_its_first_keys(
        self, tmp_path: Path, names: tuple[str, ...], nearest: str
    ) -> None:
        torch.save(dict.fromkeys(names, torch.zeros(2)), tmp_path / "w.pt")
        error = refusal(tmp_path / "w.pt")
        assert all(name in error.message for name in names)
        assert nearest in error.message

    def test_a_text_tower_alone(self, tmp_path: Path, model: Any) -> None:
        state = {name: value for name, value in model.state_dict().items() if not name.startswith("visual.")}
        torch.save(state, tmp_path / "w.pt")
        assert "a text encoder only" in refusal(tmp_path / "w.pt").message

    def test_two_models_in_one_file(self, tmp_path: Path, model: Any) -> None:
        state = model.state_dict()
        torch.save(prefixed(state, "student.") | prefixed(state, "teacher."), tmp_path / "w.pt")
        assert "student., teacher." in refusal(tmp_path / "w.pt").message
        torch.save(prefixed(state, "model.") | prefixed(state, "ema."), tmp_path / "w.pt")
        check(tmp_path / "w.pt", model)

    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    def test_weights_that_are_not_finite(self, tmp_path: Path, model: Any, value: float) -> None:
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        state["ln_final.bias"][0] = value
        torch.save(state, tmp_path / "w.pt")
        assert "not finite: ln_final.bias" in refusal(tmp_path / "w.pt").message

    def test_a_missing_weight_and_a_foreign_one(self, tmp_path: Path, model: Any) -> None:
        state = model.state_dict() | {"adapter.weight": torch.zeros(2)}
        del state["visual.ln_post.bias"]
        torch.save(state, tmp_path / "w.pt")
        message = refusal(tmp_path / "w.pt").message
        assert "missing: visual.ln_post.bias" in message
        assert "not in the architecture: adapter.weight" in message

    def test_a_truncated_file(self, tmp_path: Path, model: Any) -> None:
        torch.save(model.state_dict(), tmp_path / "w.pt")
        (tmp_path / "w.pt").write_bytes((tmp_path / "w.pt").read_bytes()[:5000])
        assert "download the file again" in refusal(tmp_path / "w.pt").hint

    def test_terminal_codes_in_names_are_not_shown(self, tmp_path: Path) -> None:
        torch.save({"\x1b[31mred": torch.zeros(1)}, tmp_path / "w.pt")
        assert "\x1b" not in refusal(tmp_path / "w.pt").message


class Scripted(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 2, bias=False)
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x) * self.scale
        return y * torch.sigmoid(1.702 * y)


class Thing:
    """A class that a pickle may name."""


@pytest.mark.parametrize("kind", ["folder", "safetensors", "pth"])
def test_a_zeroed_block_of_saved_weights_is_refused(tmp_path: Path, kind: str) -> None:
    """A block that a disk lost would otherwise load as other weights."""
    tiny = make_tiny()
    save_model(tiny, tmp_path / "model")
    save_pth(tiny, tmp_path / "m.pth")
    path = tmp_path / "m.pth" if kind == "pth" else tmp_path / "model" / WEIGHTS_FILE
    spec = str(path if kind != "folder" else path.parent)
    assert load_model(spec, quick_gelu=False).model_hash
    zero_block(path)
    with pytest.raises(ModelRefused, match="is damaged") as refused:
        load_model(spec, quick_gelu=False)
    assert "\n" not in refused.value.message


def test_a_file_that_was_saved_without_checksums_loads(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        save_pth(make_tiny(), tmp_path / "m.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert load_model(str(tmp_path / "m.pth"), quick_gelu=False).embed_dim == 16
