"""Tiny random CLIPSeg and SAM models, built from their configurations and saved as folders for the real loaders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPImageProcessor,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    SamConfig,
    SamImageProcessor,
    SamModel,
)

from trainers.models.clip_model import ClipModel, build
from trainers.models.hf_clip import write_tokenizer

SIDE, PATCH = 32, 8
CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 64, "patch_size": PATCH},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
"""open_clip's configuration of the CLIP model whose towers the CLIPSeg model has."""
_PREPROCESS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "interpolation": "bicubic"}


def make_clip(seed: int = 0, **text: Any) -> ClipModel:
    """Return a random CLIP model; `text` changes its text tower."""
    torch.manual_seed(seed)
    config = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], **text}}
    clip = build(config, _PREPROCESS, name=f"clip-{seed}", arch="ViT-tiny")
    with torch.no_grad():  # the initial projection of a small tower is so small that all texts are alike
        clip.model.text_projection.normal_(std=0.3)
        clip.model.token_embedding.weight.normal_(std=0.5)
    return clip


def make_clipseg(folder: Path, *, seed: int = 1, tokenizer: ClipModel | None = None) -> Path:
    """Save a CLIPSeg model with random weights in `folder`; `tokenizer`: with the tokenizer of this model."""
    torch.manual_seed(seed)
    config = CLIPSegConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 77,
            "vocab_size": 49408,
        },
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 1,
            "image_size": SIDE,
            "patch_size": PATCH,
        },
        projection_dim=16,
        extract_layers=[0, 1],
        reduce_dim=16,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
    )
    model = CLIPSegForImageSegmentation(config)
    with torch.no_grad():
        for layer in (model.decoder.film_mul, model.decoder.film_add):
            layer.weight.normal_(std=1.0)
        model.clip.text_projection.weight.normal_(std=0.3)
        torch.nn.init.normal_(model.decoder.transposed_convolution.weight, std=0.5)  # type: ignore[arg-type]
    model.save_pretrained(folder)
    size = {"height": 2 * SIDE, "width": 2 * SIDE}  # as the published one, larger than the tower's
    CLIPImageProcessor(size=size, do_center_crop=False).save_pretrained(folder)
    if tokenizer is not None:
        write_tokenizer(tokenizer.tokenizer, folder)
    return folder


def make_sam(folder: Path, *, seed: int = 2) -> Path:
    """Save a SAM model with random weights in `folder`."""
    torch.manual_seed(seed)
    config = SamConfig(
        vision_config={
            "hidden_size": 16,
            "output_channels": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
            "window_size": 2,
            "global_attn_indexes": [0],
            "num_pos_feats": 8,
            "mlp_dim": 16,
            "initializer_range": 0.5,
        },
        prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 16, "mask_input_channels": 4},
        mask_decoder_config={
            "hidden_size": 16,
            "mlp_dim": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "iou_head_depth": 2,
            "iou_head_hidden_dim": 16,
        },
        initializer_range=0.5,
    )
    SamModel(config).save_pretrained(folder)
    SamImageProcessor(
        size={"longest_edge": 64},
        pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16},
        mask_pad_size={"height": 16, "width": 16},
    ).save_pretrained(folder)
    return folder
