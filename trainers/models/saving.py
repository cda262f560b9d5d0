"""Saves CLIP models as open_clip local-dir folders and openai-style state dicts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from trainers.models.clip_model import BPE_FILE, CONFIG_FILE, WEIGHTS_FILE, ClipModel


def save_model(loaded: ClipModel, folder: Path) -> None:
    """Save the model as an open_clip local-dir folder: config, fp32 safetensors, and its vocabulary if not CLIP's."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(_plain_state(loaded.model)), folder / WEIGHTS_FILE)
    config = {"model_cfg": dict(loaded.config), "preprocess_cfg": dict(loaded.preprocess_config)}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if loaded.vocabulary is not None:
        shutil.copyfile(loaded.vocabulary, folder / BPE_FILE)


def save_pth(loaded: ClipModel, path: Path) -> None:
    """Save the model as an openai-style state dict, the format of the official NegationCLIP files."""
    torch.save(dict(_plain_state(loaded.model)), path)


def _plain_state(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in model.state_dict().items():
        yield name, tensor.detach().cpu().contiguous().clone(memory_format=torch.contiguous_format)
