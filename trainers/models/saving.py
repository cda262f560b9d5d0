"""Saves CLIP models: as open_clip local-dir folder, as openai-style state dict, as CLIPModel folder of transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer  # type: ignore[import-untyped]
from safetensors.torch import save_file
from torch import Tensor, nn

from trainers.errors import ModelRefused, TrainerError
from trainers.models.activation import GELU
from trainers.models.clip_model import CONFIG_FILE, WEIGHTS_FILE, ClipModel
from trainers.models.hf_clip import HF_CONFIG, HF_PREPROCESS, HF_WEIGHTS, hf_config, hf_preprocess, write_tokenizer
from trainers.models.layouts import has_openai_towers, to_hf, without_text_prefix
from trainers.models.routed import RoutedClipModel
from trainers.models.weight_files import save_hashed
from trainers.tokens.token_counting import BPE_FILE


def save_model(loaded: ClipModel, folder: Path) -> None:
    """Save the model as an open_clip local-dir folder: config, fp32 safetensors, and its vocabulary if not CLIP's."""
    _check_plain(loaded)
    folder.mkdir(parents=True, exist_ok=True)
    save_hashed(dict(_plain_state(loaded.model)), folder / WEIGHTS_FILE)
    config = {"model_cfg": dict(loaded.config), "preprocess_cfg": dict(loaded.preprocess_config)}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if loaded.vocabulary is not None:
        shutil.copyfile(loaded.vocabulary, folder / BPE_FILE)
    if isinstance(loaded.tokenizer, HFTokenizer):
        loaded.tokenizer.save_pretrained(str(folder))


def save_pth(loaded: ClipModel, path: Path) -> None:
    """Save the model as an openai-style state dict, the format of the official NegationCLIP files.

    A logit bias is left out, because OpenAI's class has none; it changes no feature.

    Raises:
        TrainerError: a tower is not openai's.
    """
    torch.save(openai_state(loaded), path)


def save_hf(loaded: ClipModel, folder: Path) -> None:
    """Save the model as a folder for `CLIPModel`, `CLIPTextModel` and `CLIPProcessor` of transformers.

    Raises:
        TrainerError: CLIPModel cannot express the model.
    """
    _check_plain(loaded)
    config = hf_config(loaded.config)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(to_hf(openai_state(loaded)), folder / HF_WEIGHTS, metadata={"format": "pt"})
    (folder / HF_CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    size = int(config["vision_config"]["image_size"])
    preprocess = hf_preprocess(loaded.preprocess_config, size)
    (folder / HF_PREPROCESS).write_text(json.dumps(preprocess, indent=2) + "\n", encoding="utf-8")
    if isinstance(loaded.tokenizer, SimpleTokenizer):
        write_tokenizer(loaded.tokenizer, folder)
    if loaded.vocabulary is not None:
        shutil.copyfile(loaded.vocabulary, folder / BPE_FILE)


def check_can_save(loaded: ClipModel, *, pth: bool, hf: bool) -> list[str]:
    """Return warnings about the requested formats.

    Raises:
        ModelRefused: a format cannot express the model.
    """
    try:
        if pth:
            _check_towers(loaded)
        if hf:
            hf_config(loaded.config)
    except TrainerError as error:
        raise ModelRefused(error.message, hint=error.hint) from error
    if pth and loaded.activation == GELU:
        return ["model.pth is opened with QuickGELU by OpenAI's code, but the model has GELU: its features will differ"]
    return []


def openai_state(loaded: ClipModel) -> dict[str, Tensor]:
    """Return the weights under openai's names, on the CPU.

    Raises:
        TrainerError: a tower is not openai's.
    """
    _check_towers(loaded)
    state = without_text_prefix(dict(_plain_state(loaded.model)))
    state.pop("logit_bias", None)
    return state


def _check_plain(loaded: ClipModel) -> None:
    if isinstance(loaded, RoutedClipModel):
        raise TrainerError(
            f"{loaded.name} is routed: this format has one text tower only", hint="save one of its parts"
        )


def _check_towers(loaded: ClipModel) -> None:
    _check_plain(loaded)
    if not has_openai_towers(without_text_prefix(loaded.model.state_dict())):
        hint = "it can be saved as a folder of open_clip only"
        raise TrainerError(f"{loaded.name} cannot be saved in OpenAI's format: its towers are not OpenAI's", hint=hint)


def _plain_state(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in model.state_dict().items():
        yield name, tensor.detach().cpu().contiguous().clone(memory_format=torch.contiguous_format)
