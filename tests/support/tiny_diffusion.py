"""Tiny Stable Diffusion pipelines with random weights, saved as folders for the real `from_pretrained`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from trainers.models.clip_model import ClipModel
from trainers.models.hf_clip import write_tokenizer
from trainers.models.hf_text_encoder import text_encoder

SIZE = 16
"""Pixels of a picture's side."""


def make_pipeline(folder: Path, model: ClipModel, *, seed: int = 0, safe: bool = True, encoder: Any = None) -> Path:
    """Save a pipeline whose text encoder is that of `model`, with the tokenizer of `model`.

    Args:
        safe: Write safetensors; False: pickled files.
        encoder: Another text encoder.
    """
    words: CLIPTextModel = encoder or text_encoder(model)
    write_tokenizer(model.tokenizer, _made(folder / "words"))  # type: ignore[arg-type]
    torch.manual_seed(seed)
    pipe = StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8),
            norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=4,
            sample_size=SIZE,
        ),
        text_encoder=words,
        tokenizer=CLIPTokenizer.from_pretrained(folder / "words"),
        unet=UNet2DConditionModel(
            block_out_channels=(8, 16),
            layers_per_block=1,
            sample_size=SIZE // 2,
            norm_num_groups=4,
            attention_head_dim=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=words.config.hidden_size,
        ),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder, safe_serialization=safe)
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
