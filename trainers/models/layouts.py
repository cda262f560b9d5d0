"""Names of weights: which layout a state dict has, and its translation into the names of openai/CLIP.

open_clip's CLIP uses openai's names; its CustomTextCLIP puts the text tower below `text.`; transformers has others.
Trainers put prefixes before all of them (`module.`, `_orig_mod.`, `model.`, `clip.`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

import torch
from torch import Tensor

from curation_db.language.sanitize import display_text
from trainers.errors import TrainerError
from trainers.models.weight_files import WeightFile


class Layout(StrEnum):
    OPENAI = "openai/CLIP"
    CUSTOM_TEXT = "CustomTextCLIP of open_clip"
    HF = "CLIPModel of transformers"


_ANCHORS = (
    (Layout.HF, "text_model.embeddings.token_embedding.weight"),
    (Layout.CUSTOM_TEXT, "text.token_embedding.weight"),
    (Layout.CUSTOM_TEXT, "text.transformer.embeddings.word_embeddings.weight"),
    (Layout.CUSTOM_TEXT, "text.transformer.shared.weight"),
    (Layout.OPENAI, "token_embedding.weight"),
)
"""A weight that each layout has, the most special first: the last anchor ends the names of the others."""
_USUAL_PREFIXES = frozenset({"module", "_orig_mod", "model", "clip", "clip_model", "net", "backbone"})
_VISUAL = ("visual.", "vision_model.")
_SIGNATURES: Mapping[str, tuple[str, ...]] = {
    Layout.OPENAI: ("transformer.resblocks.", "visual.", "ln_final.", "text_projection", "positional_embedding"),
    Layout.CUSTOM_TEXT: ("text.transformer.", "text.ln_final.", "visual.", "text.text_projection"),
    Layout.HF: ("text_model.", "vision_model.", "visual_projection.", "text_projection."),
    "SiglipModel of transformers": ("vision_model.head.", "text_model.head.", "logit_bias", "vision_model."),
    "CoCa of open_clip": ("text_decoder.", "visual.attn_pool.", "text.cls_emb"),
    "BLIP": ("visual_encoder.", "text_encoder.", "vision_proj.", "text_proj."),
    "LoRA adapter of peft": ("lora_A", "lora_B", "base_model."),
    "image model of timm": ("blocks.0.", "patch_embed.", "head.", "norm."),
    "checkpoint of a negwb run": ("weights.", "exp_avg", "optimizer"),
}
_TOWER = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
_TOWER["self_attn.out_proj"] = "attn.out_proj"
_HF_NAMES = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection": "text_projection.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "visual.proj": "visual_projection.weight",
    "logit_scale": "logit_scale",
}
"""openai's names and those of transformers, outside the blocks."""
_TRANSPOSED = ("text_projection", "visual.proj")
_BLOCKS = {"transformer.resblocks.": "text_model.encoder.layers.", "visual.transformer.resblocks.": ""}
_BLOCKS["visual.transformer.resblocks."] = "vision_model.encoder.layers."


_RESNET = ("visual.conv", "visual.bn", "visual.layer", "visual.attnpool.")
_NOT_SHARED = ("logit_bias", "attn_mask")
_BLOCK_PARTS = {f"{part}.{kind}" for part in _TOWER.values() for kind in ("weight", "bias")}
_BLOCK_PARTS |= {"attn.in_proj_weight", "attn.in_proj_bias"}


def with_openai_names(file: WeightFile) -> WeightFile:
    """Return the weights without prefixes and, where they have one, under openai's names.

    A CustomTextCLIP whose image tower is not openai's keeps its names.

    Raises:
        TrainerError: the layout is unknown, the file has only one tower, or it has several models.
    """
    return replace(file, state=_openai_state(file))


def _openai_state(file: WeightFile) -> dict[str, Tensor]:
    layout, prefix = _find_layout(file)
    state = {name.removeprefix(prefix): value for name, value in file.state.items() if name.startswith(prefix)}
    if not any(name.startswith(_VISUAL) for name in state):
        raise TrainerError(f"{file.path} has a text encoder only", hint="the image encoder must be in the same file")
    if layout is Layout.HF:
        return from_hf(state)
    if layout is Layout.CUSTOM_TEXT and has_openai_towers(plain := without_text_prefix(state)):
        return plain
    return {name: value for name, value in state.items() if not name.endswith("attn_mask")}


def without_text_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the names of a CustomTextCLIP as those of a CLIP of open_clip."""
    return {name.removeprefix("text."): value for name, value in state.items()}


def has_openai_towers(state: Mapping[str, Tensor]) -> bool:
    """Return whether all weights have names of OpenAI's ViT or ResNet, and of its text encoder."""
    blocks = ("transformer.resblocks.", "visual.transformer.resblocks.")
    names = [name for name in state if not name.startswith(blocks) and name not in _HF_NAMES]
    if "visual.attnpool.positional_embedding" in state:
        names = [name for name in names if not name.startswith(_RESNET)]
    known = all(name in state for name in ("text_projection", "positional_embedding", "ln_final.weight"))
    parts = {name.split(".resblocks.")[1].partition(".")[2] for name in state if name.startswith(blocks)}
    return known and parts <= _BLOCK_PARTS and all(name in _NOT_SHARED for name in names)


def custom_text_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict under openai's names as one of open_clip's CustomTextCLIP."""
    outside = ("visual.", "text.", "logit_scale", "logit_bias")
    return {name if name.startswith(outside) else f"text.{name}": value for name, value in state.items()}


def _find_layout(file: WeightFile) -> tuple[Layout, str]:
    for layout, anchor in _ANCHORS:
        prefixes = {name.removesuffix(anchor) for name in file.state if name.endswith(anchor)}
        prefixes = {prefix for prefix in prefixes if not prefix or prefix.endswith(".")}
        if len(prefixes) > 1:
            usual = {prefix for prefix in prefixes if set(prefix.split(".")[:-1]) <= _USUAL_PREFIXES}
            prefixes = usual if len(usual) == 1 else prefixes
        if len(prefixes) > 1:
            names = ", ".join(display_text(prefix or "(none)", limit=40) for prefix in sorted(prefixes)[:4])
            raise TrainerError(
                f"{file.path} has several models, with the prefixes {names}", hint="save the one you mean by itself"
            )
        if prefixes:
            return layout, prefixes.pop()
    raise TrainerError(_unknown(file), hint="known: openai/CLIP, open_clip, and CLIPModel of transformers")


def _unknown(file: WeightFile) -> str:
    names = list(file.state)
    first = ", ".join(display_text(name, limit=60) for name in names[:3])
    scores = {
        layout: sum(any(part in name for name in names) for part in parts) / len(parts)
        for layout, parts in _SIGNATURES.items()
    }
    nearest = max(scores, key=lambda layout: scores[layout])
    guess = f"the nearest known layout is {nearest}" if scores[nearest] else "they resemble no known layout"
    return f"{file.path} is not a CLIP model: its first keys are {first}; {guess}"


def from_hf(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate a state dict of transformers' CLIPModel into openai's names."""
    result, blocks = {}, {}
    theirs = {hf: ours for ours, hf in _HF_NAMES.items()}
    for name, value in state.items():
        if name in theirs:
            ours = theirs[name]
            result[ours] = value.T.contiguous() if ours in _TRANSPOSED else value
        elif not name.endswith("position_ids"):
            blocks[_block_name(name)] = value
    for name in [name for name in blocks if ".self_attn.q_proj." in name]:
        parts = [blocks.pop(name.replace(".q_proj.", f".{part}_proj."), None) for part in "qkv"]
        known = [part for part in parts if part is not None]
        start, _, kind = name.partition(".self_attn.q_proj.")
        result[f"{start}.attn.in_proj_{kind}"] = torch.cat(known)
    return result | blocks


def _block_name(name: str) -> str:
    for ours, hf in _BLOCKS.items():
        name = ours + name.removeprefix(hf) if name.startswith(hf) else name
    for hf, ours in _TOWER.items():
        name = name.replace(f".{hf}.", f".{ours}.")
    return name


def to_hf(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate a state dict under openai's names into one of transformers' CLIPModel.

    Raises:
        KeyError: a weight that a CLIPModel does not have.
    """
    result: dict[str, Tensor] = {}
    for name, value in state.items():
        if name in _HF_NAMES:
            result[_HF_NAMES[name]] = value.T.contiguous() if name in _TRANSPOSED else value
            continue
        start = next((start for start in _BLOCKS if name.startswith(start)), None)
        if start is None:
            raise KeyError(name)
        block, _, part = name.removeprefix(start).partition(".")
        target = f"{_BLOCKS[start]}{block}."
        if part.startswith("attn.in_proj_"):
            kind = part.removeprefix("attn.in_proj_")
            for letter, third in zip("qkv", value.chunk(3), strict=True):
                result[f"{target}self_attn.{letter}_proj.{kind}"] = third.clone()
            continue
        ours, _, kind = part.rpartition(".")
        hf = {value: key for key, value in _TOWER.items()}
        result[f"{target}{hf[ours]}.{kind}"] = value
    return result
