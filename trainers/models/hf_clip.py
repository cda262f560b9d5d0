"""Configuration of transformers' CLIPModel folders: to and from open_clip's model_cfg, preprocessing and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_clip.tokenizer import SimpleTokenizer  # type: ignore[import-untyped]

from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.sanitize import display_text
from trainers.errors import TrainerError
from trainers.models.architecture import is_openai_style

HF_CONFIG, HF_WEIGHTS = "config.json", "model.safetensors"
HF_PREPROCESS, HF_INDEX = "preprocessor_config.json", "model.safetensors.index.json"
_WEIGHTS = (HF_WEIGHTS, "pytorch_model.bin")
_RESAMPLE = {2: "bilinear", 3: "bicubic"}
_START, _END = "<|startoftext|>", "<|endoftext|>"
_EPS = 1e-5
_TOWER_KEYS = frozenset({"layers", "width", "patch_size", "image_size", "head_width", "heads", "mlp_ratio"})
_TEXT_KEYS = _TOWER_KEYS | {"context_length", "vocab_size"}
"""Keys of open_clip's tower configurations that CLIPModel can express."""


def read_hf_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return open_clip's model_cfg and preprocess_cfg of a CLIPModel folder, and the names of its weight files.

    Raises:
        TrainerError: another model than CLIPModel, or options of CLIPModel that open_clip does not have.
    """
    config = _read(folder / HF_CONFIG)
    if (kind := config.get("model_type")) != "clip" or "vision_config" not in config:
        shown = display_text(str(kind), limit=40)
        raise TrainerError(
            f"{folder} has a model of type {shown}, not a CLIPModel of transformers",
            hint="other models load by their open_clip name: NAME:PRETRAINED",
        )
    try:
        model = model_config(config)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise TrainerError(f"{folder / HF_CONFIG} is damaged: {error!r}") from error
    preprocess = _preprocess(_read(folder / HF_PREPROCESS)) if (folder / HF_PREPROCESS).is_file() else {}
    if (folder / HF_INDEX).is_file():
        shards = sorted({str(name) for name in dict(_read(folder / HF_INDEX).get("weight_map", {})).values()})
        if any(Path(name).name != name for name in shards):
            raise TrainerError(f"{folder / HF_INDEX} is damaged: it names files in other folders")
        return model, preprocess, shards
    weights = [name for name in _WEIGHTS if (folder / name).is_file()][:1]
    if not weights:
        raise TrainerError(f"{folder} has no weights", hint=f"{HF_WEIGHTS} is expected beside {HF_CONFIG}")
    return model, preprocess, weights


def _read(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_bytes())
    except (JsonError, OSError) as error:
        raise TrainerError(f"{path} is damaged: {display_text(str(error), limit=120)}") from error
    if not isinstance(content, dict):
        raise TrainerError(f"{path} is damaged: it is no JSON object")
    return content


def model_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the configuration of a CLIPModel into open_clip's model_cfg; missing values are transformers' defaults.

    Raises:
        TrainerError: the towers differ in the activation, or it is neither QuickGELU nor GELU.
    """
    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    vision |= {"image_size": 224, "patch_size": 32} | _present(config["vision_config"])
    text = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8}
    text |= {"vocab_size": 49408, "max_position_embeddings": 77} | _present(config.get("text_config") or {})
    activations = {str(tower.get("hidden_act", "quick_gelu")) for tower in (vision, text)}
    if activations not in ({"quick_gelu"}, {"gelu"}):
        shown = display_text(" and ".join(sorted(activations)), limit=60)
        raise TrainerError(f"the CLIPModel has the activation {shown}", hint="both towers need quick_gelu, or gelu")
    return {
        "embed_dim": int(config.get("projection_dim") or text.get("projection_dim") or 512),
        "quick_gelu": activations == {"quick_gelu"},
        "vision_cfg": {
            "image_size": int(vision["image_size"]),
            "patch_size": int(vision["patch_size"]),
            "head_width": int(vision["hidden_size"]) // int(vision["num_attention_heads"]),
            **_tower(vision),
        },
        "text_cfg": {
            "context_length": int(text["max_position_embeddings"]),
            "vocab_size": int(text["vocab_size"]),
            "heads": int(text["num_attention_heads"]),
            **_tower(text),
        },
    }


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _tower(tower: Mapping[str, Any]) -> dict[str, Any]:
    ratio = int(tower["intermediate_size"]) / int(tower["hidden_size"])
    eps = float(tower.get("layer_norm_eps", _EPS))
    return {
        "width": int(tower["hidden_size"]),
        "layers": int(tower["num_hidden_layers"]),
        **({} if ratio == 4 else {"mlp_ratio": ratio}),
        **({} if eps == _EPS else {"norm_kwargs": {"eps": eps}}),
    }


def _preprocess(values: Mapping[str, Any]) -> dict[str, Any]:
    named = {
        "mean": values.get("image_mean"),
        "std": values.get("image_std"),
        "interpolation": _RESAMPLE.get(values.get("resample", 3)),
    }
    return _present(named)


def hf_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Translate open_clip's model_cfg into the configuration of a CLIPModel.

    Raises:
        TrainerError: a CLIPModel cannot express the model.
    """
    vision, text = config["vision_cfg"], config["text_cfg"]
    foreign = [key for key in vision if key not in _TOWER_KEYS and vision[key]]
    foreign += [key for key in text if key not in _TEXT_KEYS and text[key]]
    residual = isinstance(vision.get("layers", 12), (list, tuple))
    if foreign or residual or not is_openai_style(config) or not isinstance(vision.get("image_size", 224), int):
        reason = f"it has {foreign[0]}" if foreign else "its towers are not those of CLIP's ViT"
        raise TrainerError(f"the model cannot be saved as a CLIPModel of transformers: {reason}")
    width = int(vision.get("width", 768))
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config["embed_dim"],
        "logit_scale_init_value": 2.6592,
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": width,
            "intermediate_size": int(width * vision.get("mlp_ratio", 4.0)),
            "num_hidden_layers": vision.get("layers", 12),
            "num_attention_heads": width // int(vision.get("head_width", 64)),
            "image_size": vision.get("image_size", 224),
            "patch_size": vision.get("patch_size", 16),
            **_shared(config),
        },
        "text_config": hf_text_config(config),
    }


def hf_text_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the text tower of open_clip's model_cfg into the configuration of a CLIPTextModel.

    Raises:
        TrainerError: a CLIPTextModel cannot express the text tower.
    """
    text = config["text_cfg"]
    if foreign := [key for key in text if key not in _TEXT_KEYS and text[key]]:
        raise TrainerError(f"the model has no text encoder of transformers' CLIP: its text tower has {foreign[0]}")
    width, vocabulary = int(text.get("width", 512)), int(text.get("vocab_size", 49408))
    return {
        "model_type": "clip_text_model",
        "hidden_size": width,
        "intermediate_size": int(width * text.get("mlp_ratio", 4.0)),
        "num_hidden_layers": text.get("layers", 12),
        "num_attention_heads": text.get("heads", 8),
        "max_position_embeddings": text.get("context_length", 77),
        "vocab_size": vocabulary,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": vocabulary - 1,
        **_shared(config),
    }


def _shared(config: Mapping[str, Any]) -> dict[str, Any]:
    activation = "quick_gelu" if config.get("quick_gelu") else "gelu"
    return {"hidden_act": activation, "layer_norm_eps": _EPS, "projection_dim": config["embed_dim"]}


def hf_preprocess(values: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Return the content of preprocessor_config.json for open_clip's preprocess_cfg."""
    resample = {name: number for number, name in _RESAMPLE.items()}
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": resample.get(str(values.get("interpolation", "bicubic")), 3),
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(values["mean"]),
        "image_std": list(values["std"]),
    }


def write_tokenizer(tokenizer: SimpleTokenizer, folder: Path) -> None:
    """Write vocab.json and merges.txt of a byte-pair tokenizer, and its settings, for transformers' CLIPTokenizer."""
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    # SimpleTokenizer spells the special tokens differently; their ids are the last two.
    special = {len(tokenizer.encoder) - 2: _START, len(tokenizer.encoder) - 1: _END}
    words = {special.get(number, word): number for word, number in tokenizer.encoder.items()}
    _write(folder / "vocab.json", words)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = {"bos_token": _START, "eos_token": _END, "unk_token": _END, "pad_token": _END}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": tokenizer.context_length, "do_lower_case": True}
    _write(folder / "tokenizer_config.json", settings | names)
    _write(folder / "special_tokens_map.json", names)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=None if len(content) > 1000 else 2) + "\n", encoding="utf-8")
