"""The token limit of a model, read from its configuration: no torch, no weights, no network."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from curation_db.foreign_json import JsonError, parse_json

_VOCABULARY = 49_408
"""Size of CLIP's vocabulary. Other vocabularies split texts otherwise, so CLIP's counts say nothing about them."""
_POSITIONS = 77


def read_token_limit(spec: str, root: Path) -> int | None:
    """Return how many CLIP tokens the text tower of a model reads, with start and end of text.

    None: the configuration is not at hand, or the model does not use CLIP's vocabulary.

    Args:
        spec: A model as for `load_model`; paths are relative to `root`.
    """
    for text in _text_configs(spec, root):
        with suppress(KeyError, TypeError, ValueError):
            own_tokenizer = "hf_tokenizer_name" in text or "hf_model_name" in text
            if own_tokenizer or int(text.get("vocab_size", _VOCABULARY)) != _VOCABULARY:
                return None
            length = int(text.get("context_length", text.get("max_position_embeddings", _POSITIONS)))
            return length if length > 0 else None
    return None


def _text_configs(spec: str, root: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the configuration of the text tower: that of the folder or beside the file, then that of the name."""
    name, _, file = spec.partition(":")
    for path in (root / Path(spec.removeprefix("local-dir:")).expanduser(), root / Path(file).expanduser()):
        for folder in (path, path.parent, path.with_suffix("")) if path.is_file() else (path,):
            yield from _of_file(folder / "open_clip_config.json", "model_cfg", "text_cfg")
            yield from _of_file(folder / "base" / "open_clip_config.json", "model_cfg", "text_cfg")  # a routed model
            yield from _of_file(folder / "config.json", "text_config")
    yield from _of_file(_architectures() / f"{name.replace('/', '-').removesuffix('-gelu')}.json", "text_cfg")


def _architectures() -> Path:
    """Return the folder of open_clip's architectures, found without importing it, which takes seconds."""
    spec = importlib.util.find_spec("open_clip")
    folders = spec.submodule_search_locations if spec is not None else None
    return Path(folders[0]) / "model_configs" if folders else Path("/nonexistent")


def _of_file(path: Path, *keys: str) -> Iterator[Mapping[str, Any]]:
    try:
        content = parse_json(path.read_bytes())
        for key in keys:
            content = content[key]
    except (OSError, JsonError, KeyError, TypeError, ValueError):  # absent, damaged, or of another kind
        return
    if isinstance(content, dict):
        yield content
