"""Loads CLIP models: open_clip names, openai-style state dicts, open_clip local-dir folders.

The activation comes from the origin of the weights,
never from a default: OpenAI-derived weights use QuickGELU unless specified otherwise. `load_openai_model` of open_clip
is not used, because it rounds to fp16.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
from open_clip.transform import PreprocessCfg, image_transform_v2  # type: ignore[import-untyped]
from torch import Tensor

from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.sanitize import first_line, last_line
from trainers.errors import ModelRefused, TrainerError
from trainers.models.clip_model import BPE_FILE, CONFIG_FILE, WEIGHTS_FILE, ClipModel, build, preprocess_values
from trainers.models.openai_weights import config_of, read_weights

STATE_FILES = frozenset({".pth", ".pt", ".bin", ".safetensors"})


def load_model(spec: str, *, device: str = "cpu", quick_gelu: bool | None = None) -> ClipModel:
    """Load the model that `spec` names.

    Args:
        spec: a local-dir folder, a state dict file (.pth, .pt, .bin, .safetensors), or NAME:PRETRAINED of open_clip,
            where PRETRAINED is a tag or a file. An existing file or folder is never read as a name. The activation of a
            file comes from a config beside it, else it is QuickGELU. NAME:FILE follows NAME instead: NAME-quickgelu or
            NAME-gelu. A NAME that open_clip has in both forms is refused without the ending, because the weights do not
            show the activation and a silently wrong guess costs points of accuracy.
        quick_gelu: the activation, where the caller knows the origin of the weights.

    Raises:
        ModelRefused: the model or device does not exist, or the weights cannot be loaded.
    """
    try:
        return _load(spec, device, quick_gelu)
    except TrainerError as error:
        raise ModelRefused(error.message, hint=error.hint) from error


def _load(spec: str, device: str, quick_gelu: bool | None) -> ClipModel:
    path = Path(spec.removeprefix("local-dir:")).expanduser()
    if _is(path, Path.is_dir):
        loaded = _from_folder(path, quick_gelu)
    elif _is(path, Path.is_file) or (path.suffix in STATE_FILES and ":" not in spec):
        loaded = _from_state_file(path, quick_gelu)
    else:
        loaded = _from_name(spec, quick_gelu)
    try:
        loaded.model.to(device).eval()
    except (RuntimeError, AssertionError, ValueError) as error:
        raise TrainerError(
            f"the device {device} cannot be used: {first_line(error)}", hint="cpu always works"
        ) from error
    return loaded


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(path)
    except (OSError, ValueError):  # the text is too long or not valid as a path
        return False


def _fill(built: ClipModel, state: dict[str, Tensor], origin: Path) -> ClipModel:
    if "logit_scale" in state:
        state["logit_scale"] = state["logit_scale"].reshape(built.model.logit_scale.shape)
    try:
        built.model.load_state_dict(state)
    except RuntimeError as error:
        raise TrainerError(f"{origin}: the weights do not fit the architecture: {last_line(error)}") from error
    return built


def _from_folder(folder: Path, quick_gelu: bool | None) -> ClipModel:
    config, preprocess = _read_config(folder)
    if quick_gelu is not None:
        config["quick_gelu"] = quick_gelu
    weights = next((folder / n for n in (WEIGHTS_FILE, "open_clip_pytorch_model.bin") if (folder / n).is_file()), None)
    if weights is None:
        raise TrainerError(f"{folder} has no weights", hint=f"{WEIGHTS_FILE} is expected beside {CONFIG_FILE}")
    if not _plain_text(config):
        return _from_open_clip(f"local-dir:{folder}", None, quick_gelu, name=str(folder), config=config)
    bpe = folder / BPE_FILE
    built = build(config, preprocess, name=str(folder), arch=_arch(config), bpe=bpe if bpe.is_file() else None)
    return _fill(built, read_weights(weights), weights)


def _plain_text(config: Mapping[str, Any]) -> bool:
    text, vision = config["text_cfg"], config["vision_cfg"]
    return not ("hf_model_name" in text or "hf_tokenizer_name" in text or "timm_model_name" in vision)


def _read_config(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    path = folder / CONFIG_FILE
    try:
        parsed = parse_json(path.read_bytes())
        return dict(parsed["model_cfg"]), dict(parsed.get("preprocess_cfg", {}))
    except FileNotFoundError as error:
        raise TrainerError(f"{folder} is not a model: it has no {CONFIG_FILE}") from error
    except JsonError as error:
        raise TrainerError(f"{path} is damaged: {error}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainerError(f"{path} is damaged: {error!r}") from error


def _from_state_file(path: Path, quick_gelu: bool | None) -> ClipModel:
    """Load an openai-style state dict; a config beside it supplies heads and activation, which weights do not show."""
    state = read_weights(path)
    if (path.parent / CONFIG_FILE).is_file():
        config, preprocess = _read_config(path.parent)
        if quick_gelu is not None:
            config["quick_gelu"] = quick_gelu
    else:
        config, preprocess = config_of(state, path, quick_gelu=quick_gelu is not False), {}
    bpe = path.parent / BPE_FILE
    built = build(config, preprocess, name=str(path), arch=_arch(config), bpe=bpe if bpe.is_file() else None)
    return _fill(built, state, path)


def _from_name(spec: str, quick_gelu: bool | None) -> ClipModel:
    requested, _, pretrained = spec.partition(":")
    name, quick_gelu = _name_and_activation(requested, Path(pretrained).expanduser(), quick_gelu)
    if open_clip.get_model_config(name) is None:
        near = difflib.get_close_matches(name, open_clip.list_models(), n=6)
        hint = f"open_clip has {', '.join(near)}" if near else "use NAME:PRETRAINED, a folder, or a .pth file"
        raise TrainerError(f"there is no model, file or folder {spec}", hint=hint)
    if not pretrained:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)[:8]) or "none"
        raise TrainerError(f"{name} needs weights: {name}:PRETRAINED", hint=f"known: {tags}; or a file")
    pretrained_config = open_clip.get_pretrained_cfg(name, pretrained)
    if quick_gelu is None and pretrained_config:
        quick_gelu = bool(pretrained_config.get("quick_gelu", False)) or None
    config = dict(open_clip.get_model_config(name) or {})
    return _from_open_clip(name, pretrained, quick_gelu, name=spec, config=config)


def _name_and_activation(requested: str, file: Path, quick_gelu: bool | None) -> tuple[str, bool | None]:
    """Return open_clip's name, and the activation as far as name, file and argument determine it (see `load_model`)."""
    plain = requested.removesuffix("-gelu")
    known = {name for name in (plain, f"{plain}-quickgelu") if open_clip.get_model_config(name) is not None}
    if plain != requested and known:
        return plain, False if quick_gelu is None else quick_gelu
    if quick_gelu is not None or len(known) < 2 or not _is(file, Path.is_file):
        return requested, quick_gelu
    if _is(file.parent / CONFIG_FILE, Path.is_file):
        return requested, bool(_read_config(file.parent)[0].get("quick_gelu", False))
    hint = (
        f"{requested}-quickgelu:{file} for OpenAI or NegationCLIP weights, {requested}-gelu:{file} for others (LAION)"
    )
    raise TrainerError(
        f"the activation of {file} is unknown: neither the weights nor {requested} say QuickGELU or GELU", hint=hint
    )


def _from_open_clip(
    source: str, pretrained: str | None, quick_gelu: bool | None, *, name: str, config: dict[str, Any]
) -> ClipModel:
    """Load a model through open_clip's factory, which may download the weights."""
    if quick_gelu is not None:
        config["quick_gelu"] = quick_gelu
    try:
        model = open_clip.create_model(
            source, pretrained, force_quick_gelu=bool(config.get("quick_gelu")), require_pretrained=True
        )
        tokenizer = open_clip.get_tokenizer(source)
    except (RuntimeError, OSError, ValueError) as error:
        hint = "without a network, download the weights elsewhere and name the file"
        raise TrainerError(f"the weights of {name} cannot be loaded: {first_line(error)}", hint=hint) from error
    preprocess = PreprocessCfg(**model.visual.preprocess_cfg)
    transform = image_transform_v2(preprocess, is_train=False)
    return ClipModel(name, _arch(config, source), config, model, tokenizer, transform, preprocess_values(preprocess))


_KNOWN = ("ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336", "RN50", "RN101", "RN50x4", "RN50x16", "RN50x64")


def _arch(config: Mapping[str, Any], named: str = "") -> str:
    """Return open_clip's name of the architecture without the activation; otherwise a description of its parts."""
    if named and not named.startswith("local-dir:"):
        return named.removesuffix("-quickgelu")
    vision, text = config["vision_cfg"], config["text_cfg"]
    for known in _KNOWN:
        other = open_clip.get_model_config(known) or {}
        if other.get("embed_dim") == config["embed_dim"] and _same(other["vision_cfg"], vision):
            return known
    tower = "RN" if isinstance(vision.get("layers"), (list, tuple)) else f"ViT-p{vision.get('patch_size')}"
    return f"{tower}-{vision.get('width')}-{vision.get('image_size')}px-text-{text.get('width')}x{text.get('layers')}"


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    names = ("layers", "width", "patch_size", "image_size")
    return all(_listed(one.get(name)) == _listed(other.get(name)) for name in names)


def _listed(value: object) -> object:
    return list(value) if isinstance(value, (list, tuple)) else value
