"""Loads CLIP models: open_clip names, weight files, folders of open_clip and of transformers, repositories of the hub.

One file is one model however it is spelled: its sizes come from its weights, and no position embedding is resized. The
activation is asked for or proven (see `activation`). `load_openai_model` of open_clip is not used, because it rounds to
fp16.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2  # type: ignore[import-untyped]
from torch import Tensor

from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.sanitize import display_text, first_line
from trainers.errors import ModelRefused, TrainerError
from trainers.models import activation
from trainers.models.architecture import arch_of, check_sizes, check_supported, config_of, is_openai_style
from trainers.models.clip_model import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    ClipModel,
    Tokenizer,
    build,
    preprocess_values,
)
from trainers.models.hf_clip import HF_CONFIG, read_hf_folder
from trainers.models.layouts import custom_text_state, with_openai_names
from trainers.models.routed import RoutedClipModel
from trainers.models.routed_folder import BASE_FOLDER, ROUTED_FILE, TUNED, read_routed
from trainers.models.weight_files import WeightFile, read_shards, read_weights
from trainers.tokens.token_counting import BPE_FILE

STATE_FILES = frozenset({".pth", ".pt", ".bin", ".safetensors"})
HUB = "hf-hub:"
_HUB_FILES = ("*.json", "*.safetensors", "*.bin", "merges.txt", "*.model", BPE_FILE)
_WEIGHTS = (WEIGHTS_FILE, "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
_OPENAI_TAG = "openai"


def load_model(spec: str, *, device: str = "cpu", quick_gelu: bool | None = None) -> ClipModel:
    """Load the model that `spec` names.

    Args:
        spec: one of
            a folder of open_clip (local-dir), of transformers (CLIPModel), or of a routed model (`routed_folder`);
            tuned:FOLDER, the tuned part of a routed model alone;
            hf-hub:OWNER/NAME, such a folder on the Hugging Face hub;
            NAME:TAG, published weights of open_clip;
            a file with weights (.pth, .pt, .bin, .safetensors), as FILE, quickgelu:FILE, gelu:FILE, or NAME:FILE, where
            NAME is an architecture of open_clip with the ending -quickgelu or -gelu.
            An existing file or folder is never read as a name. A config beside the file, or in a folder with the stem
            of its name, supplies heads and activation, which weights do not show.
        quick_gelu: the activation, where the caller knows the origin of the weights.

    Raises:
        ModelRefused: the model or device does not exist, the weights cannot be loaded or are not finite, their sizes
            are not those of NAME, or nothing shows their activation.
    """
    try:
        return _load(spec, device, quick_gelu)
    except TrainerError as error:
        raise ModelRefused(error.message, hint=error.hint) from error


def _load(spec: str, device: str, quick_gelu: bool | None) -> ClipModel:
    path = Path(spec.removeprefix("local-dir:")).expanduser()
    if spec.startswith(TUNED):
        loaded = _tuned_part(Path(spec.removeprefix(TUNED)).expanduser(), quick_gelu)
    elif _is(path, Path.is_dir):
        loaded = _from_folder(path, quick_gelu)
    elif _is(path, Path.is_file) or (path.suffix in STATE_FILES and ":" not in spec):
        loaded = _from_file(path, quick_gelu)
    elif spec.startswith(HUB):
        loaded = _from_hub(spec, quick_gelu)
    else:
        loaded = _from_name(spec, quick_gelu)
    try:
        loaded.to_device(device)
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


def _tuned_part(folder: Path, quick_gelu: bool | None) -> ClipModel:
    if not _is(folder / ROUTED_FILE, Path.is_file):
        raise TrainerError(f"{folder} is not a routed model: it has no {ROUTED_FILE}", hint="name the folder alone")
    return _from_routed_folder(folder, quick_gelu).tuned


def _from_routed_folder(folder: Path, quick_gelu: bool | None) -> RoutedClipModel:
    return read_routed(folder, _from_folder(folder / BASE_FOLDER, quick_gelu))


def _from_folder(folder: Path, quick_gelu: bool | None) -> ClipModel:
    if (folder / ROUTED_FILE).is_file():
        return _from_routed_folder(folder, quick_gelu)
    if not (folder / CONFIG_FILE).is_file() and (folder / HF_CONFIG).is_file():
        return _from_hf_folder(folder, quick_gelu)
    config, preprocess = _read_config(folder)
    weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise TrainerError(f"{folder} has no weights", hint=f"{WEIGHTS_FILE} is expected beside {CONFIG_FILE}")
    file = with_openai_names(read_weights(weights))
    return _assemble(file, _activated(config, quick_gelu), preprocess, name=str(folder), folder=folder)


def _from_hf_folder(folder: Path, quick_gelu: bool | None) -> ClipModel:
    config, preprocess, names = read_hf_folder(folder)
    file = with_openai_names(read_weights(folder / names[0]) if len(names) == 1 else read_shards(folder, names))
    return _assemble(file, _activated(config, quick_gelu), preprocess, name=str(folder), folder=folder)


def _from_hub(spec: str, quick_gelu: bool | None) -> ClipModel:
    from huggingface_hub import snapshot_download  # noqa: PLC0415  # only here, and it takes a tenth of a second

    try:
        folder = Path(snapshot_download(spec.removeprefix(HUB), allow_patterns=[*_HUB_FILES]))
    except Exception as error:  # the client of the hub raises errors of several libraries
        raise _unavailable(spec, error) from error
    loaded = _from_folder(folder, quick_gelu)
    loaded.name = spec
    return loaded


def _from_file(path: Path, quick_gelu: bool | None, *, name: str = "") -> ClipModel:
    """Load a file with weights; `name` is an architecture of open_clip that the file must have."""
    file = with_openai_names(read_weights(path))
    folder = next((f for f in (path.parent, path.with_suffix("")) if _is(f / CONFIG_FILE, Path.is_file)), None)
    beside, preprocess = _read_config(folder) if folder else ({}, {})
    named = open_clip.get_model_config(name) if name else None
    if quick_gelu is None:
        quick_gelu = _activation_of(file, beside, name)
    config = beside or (named if named and not is_openai_style(named) else None)
    if config is None:
        config = config_of(file.state, path, quick_gelu=bool(quick_gelu))
    if named and is_openai_style(named) and is_openai_style(config):
        check_sizes(named, config, name, path)
    spec = f"{name}:{path}" if name else str(path)
    return _assemble(file, _activated(config, quick_gelu), preprocess, name=spec, folder=folder, arch=name)


def _activation_of(file: WeightFile, beside: Mapping[str, Any], name: str) -> bool:
    """Return whether a file needs QuickGELU if the user did not specify it.

    Raises:
        TrainerError: nothing shows the activation.
    """
    if beside:
        return bool(beside.get("quick_gelu", False))
    if (proven := activation.prove_activation(file)) is not None:
        return proven
    named = open_clip.get_model_config(name) if name else None
    if named and (not is_openai_style(named) or activation.always_gelu(name)):
        return bool(named.get("quick_gelu", False))
    raise activation.ask_for_activation(file, name)


def _activated(config: Mapping[str, Any], quick_gelu: bool | None) -> dict[str, Any]:
    return dict(config) if quick_gelu is None else {**config, "quick_gelu": quick_gelu}


def _assemble(
    file: WeightFile,
    config: Mapping[str, Any],
    preprocess: Mapping[str, Any],
    *,
    name: str,
    folder: Path | None,
    arch: str = "",
) -> ClipModel:
    """Build the model of `config` and fill it with the weights; nothing is resized and nothing may be left over."""
    check_supported(config, name)
    bpe = folder / BPE_FILE if folder and (folder / BPE_FILE).is_file() else None
    try:
        tokenizer = _foreign_tokenizer(config, folder, arch)
        built = build(config, preprocess, name=name, arch=arch_of(config, arch), bpe=bpe, tokenizer=tokenizer)
    except TrainerError:
        raise
    except Exception as error:  # open_clip, timm and transformers raise nearly anything on a foreign configuration
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise TrainerError(f"the model of {file.path} cannot be built: {reason}", hint=_BUILD_HINT) from error
    _fill(built, dict(file.state), file.path)
    is_plain = built.activation == activation.GELU
    if is_plain and activation.is_of_openai(config) and activation.has_half_values(file):
        built.warnings = (activation.mismatch_warning(name),)
    return built


_BUILD_HINT = f"check {CONFIG_FILE} or {HF_CONFIG} beside the weights"


def _foreign_tokenizer(config: Mapping[str, Any], folder: Path | None, arch: str) -> Tokenizer | None:
    """Return the tokenizer of transformers that the configuration names; None: CLIP's."""
    if not {"hf_tokenizer_name", "hf_model_name"} & set(config["text_cfg"]):
        return None
    try:
        tokenizer: Tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}" if folder else arch)
    except Exception as error:  # transformers raises nearly anything on missing or foreign files
        source = folder or config["text_cfg"].get("hf_tokenizer_name", arch)
        hint = "without a network, put the files of the tokenizer beside the weights"
        raise TrainerError(f"the tokenizer of {source} cannot be loaded: {first_line(error)}", hint=hint) from error
    return tokenizer


def _fill(built: ClipModel, state: dict[str, Tensor], path: Path) -> None:
    expected = built.model.state_dict()
    if any(name.startswith("text.") for name in expected):
        state = custom_text_state(state)
    for scalar in ("logit_scale", "logit_bias"):
        if scalar in state and scalar in expected and state[scalar].numel() == 1:
            state[scalar] = state[scalar].reshape(expected[scalar].shape)
    differing = [name for name in expected if name in state and state[name].shape != expected[name].shape]
    if differing:
        shown = "; ".join(
            f"{name} is {tuple(state[name].shape)}, not {tuple(expected[name].shape)}" for name in differing[:3]
        )
        raise TrainerError(f"{path}: the weights do not fit the architecture {built.arch}: {shown}", hint=_FIT_HINT)
    missing, extra = [name for name in expected if name not in state], [name for name in state if name not in expected]
    if missing or extra:
        lists = (("missing", missing), ("not in the architecture", extra))
        shown = "; ".join(f"{what}: {display_text(', '.join(names[:3]), limit=200)}" for what, names in lists if names)
        raise TrainerError(f"{path}: the weights do not fit the architecture {built.arch}: {shown}", hint=_FIT_HINT)
    built.model.load_state_dict(state)


_FIT_HINT = "name the architecture that the weights were trained with; sizes are never changed to fit"


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


def _from_name(spec: str, quick_gelu: bool | None) -> ClipModel:
    requested, _, pretrained = spec.partition(":")
    file = Path(pretrained).expanduser()
    if requested in (activation.QUICK_GELU, activation.GELU) and pretrained:
        return _from_file(file, requested == activation.QUICK_GELU if quick_gelu is None else quick_gelu)
    name, asked = _name_and_activation(requested.replace("/", "-"))
    quick_gelu = asked if quick_gelu is None else quick_gelu
    if open_clip.get_model_config(name) is None:
        near = difflib.get_close_matches(name, open_clip.list_models(), n=6)
        hint = f"open_clip has {', '.join(near)}" if near else "use NAME:PRETRAINED, a folder, or a .pth file"
        raise TrainerError(f"there is no model, file or folder {spec}", hint=hint)
    if not pretrained:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)[:8]) or "none"
        raise TrainerError(f"{name} needs weights: {name}:PRETRAINED", hint=f"known: {tags}; or a file")
    check_supported(open_clip.get_model_config(name) or {}, name)
    if _is(file, Path.is_file):
        return _from_file(file, quick_gelu, name=name)
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    if quick_gelu is None and tag:
        quick_gelu = bool(tag.get("quick_gelu", False)) or None
    return _from_tag(name, pretrained, _activated(open_clip.get_model_config(name) or {}, quick_gelu), spec)


def _name_and_activation(requested: str) -> tuple[str, bool | None]:
    """Return open_clip's name, and the activation that the ending -quickgelu or -gelu asks for."""
    for quick_gelu, ending in ((True, f"-{activation.QUICK_GELU}"), (False, f"-{activation.GELU}")):
        plain = requested.removesuffix(ending)
        if plain != requested and open_clip.get_model_config(plain) is not None:
            known = open_clip.get_model_config(requested) is not None
            return requested if known else plain, quick_gelu
    return requested, None


def _from_tag(name: str, tag: str, config: dict[str, Any], spec: str) -> ClipModel:
    """Load published weights through open_clip's factory, which may download them."""
    try:
        model = open_clip.create_model(
            name, tag, force_quick_gelu=bool(config.get("quick_gelu")), require_pretrained=True
        )
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # clients of the hub, torch and open_clip raise nearly anything
        raise _unavailable(spec, error) from error
    if not all(bool(torch.isfinite(value).all()) for value in model.state_dict().values()):
        raise TrainerError(f"the weights of {spec} are not finite", hint="delete them from the cache and try again")
    preprocess = PreprocessCfg(**model.visual.preprocess_cfg)
    transform = image_transform_v2(preprocess, is_train=False)
    loaded = ClipModel(spec, arch_of(config, name), config, model, tokenizer, transform, preprocess_values(preprocess))
    if tag == _OPENAI_TAG and loaded.activation == activation.GELU:
        loaded.warnings = (activation.mismatch_warning(spec),)
    return loaded


def _unavailable(spec: str, error: Exception) -> TrainerError:
    hint = "without a network, download the weights elsewhere and name the file"
    return TrainerError(f"the weights of {spec} cannot be loaded: {first_line(error)}", hint=hint)
