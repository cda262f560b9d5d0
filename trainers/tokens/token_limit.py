"""The longest text that a model reads, from its configuration and the files of its tokenizer: no torch, no network."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.token_counter import CLIP_TOKENS, ClipTokenCounter, TextLimit, TokenCounter
from trainers.tokens.token_counting import BPE_FILE, TOKENIZER_FILE, BpeFileCounter, TokenizerFileCounter

_VOCABULARY = 49_408
"""Size of CLIP's vocabulary."""
_POSITIONS = 77
_HUB = "hf-hub:"


class _TextConfig(NamedTuple):
    values: Mapping[str, Any]
    folder: Path | None
    """The folder with the files of the model; None: a configuration of open_clip."""


def read_text_limit(spec: str, root: Path) -> TextLimit | None:
    """Return how many tokens the text encoder of a model reads, and the counter of its tokenizer.

    Where the files of the tokenizer are not on this machine, CLIP's counts, and its `problem` states the reason.
    None: the configuration is not on this machine.

    Args:
        spec: A model as for `load_model`; paths are relative to `root`.
    """
    for config in _text_configs(spec, root):
        with suppress(KeyError, TypeError, ValueError):
            positions = config.values.get("max_position_embeddings", _POSITIONS)
            length = int(config.values.get("context_length", positions))
            return TextLimit(length, _counter(config, spec)) if length > 0 else None
    return None


def _counter(config: _TextConfig, spec: str) -> TokenCounter:
    """Return the counter of the tokenizer that `load_model` would choose."""
    text, folder = config
    if hub_name := text.get("hf_tokenizer_name"):
        source = folder or _cached(str(hub_name))
        options = text.get("tokenizer_kwargs") or {}
        if source is not None and (source / TOKENIZER_FILE).is_file():
            mode = str(text.get("tokenizer_mode") or "")
            return TokenizerFileCounter(source / TOKENIZER_FILE, str(options.get("clean", "whitespace")), mode)
        return _replacement(f"{folder or hub_name}", spec)
    if folder is not None and (folder / BPE_FILE).is_file():
        return BpeFileCounter(folder / BPE_FILE)
    if int(text.get("vocab_size", _VOCABULARY)) == _VOCABULARY:
        return CLIP_TOKENS
    if folder is not None and (folder / TOKENIZER_FILE).is_file():
        return TokenizerFileCounter(folder / TOKENIZER_FILE)
    return _replacement(f"{folder or spec}", spec)


def _replacement(source: str, spec: str) -> ClipTokenCounter:
    where = "" if source == spec else f" of {source}"
    return ClipTokenCounter(
        f"the tokenizer{where} for {spec} is not on this machine: CLIP's tokenizer counts the tokens instead"
    )


def _text_configs(spec: str, root: Path) -> Iterator[_TextConfig]:
    """Yield the configuration of the text tower: that of the folder or beside the file, then that of the name."""
    if spec.startswith(_HUB):
        snapshot = _cached(spec.removeprefix(_HUB))
        yield from _of_folder(snapshot) if snapshot is not None else ()
        return
    name, _, file = spec.partition(":")
    for path in (root / Path(spec.removeprefix("local-dir:")).expanduser(), root / Path(file).expanduser()):
        for folder in (path, path.parent, path.with_suffix("")) if path.is_file() else (path,):
            yield from _of_folder(folder)
    yield from _of_file(_architectures() / f"{name.replace('/', '-').removesuffix('-gelu')}.json", None, "text_cfg")


def _of_folder(folder: Path) -> Iterator[_TextConfig]:
    for each in (folder, folder / "base"):  # the second one: a routed model
        yield from _of_file(each / "open_clip_config.json", each, "model_cfg", "text_cfg")
    yield from _of_file(folder / "config.json", folder, "text_config")


def _cached(repository: str) -> Path | None:
    """Return the folder of a repository in the cache of the Hugging Face hub; None: it is not there."""
    try:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 -- 0.1 s, only for models of the hub

        for name in (TOKENIZER_FILE, "open_clip_config.json", "config.json"):
            if isinstance(path := try_to_load_from_cache(repository, name), str):
                return Path(path).parent
    except (ImportError, ValueError, OSError):  # not installed, or not the name of a repository
        pass
    return None


def _architectures() -> Path:
    """Return the folder of open_clip's architectures, found without importing it, which takes seconds."""
    spec = importlib.util.find_spec("open_clip")
    folders = spec.submodule_search_locations if spec is not None else None
    return Path(folders[0]) / "model_configs" if folders else Path("/nonexistent")


def _of_file(path: Path, folder: Path | None, *keys: str) -> Iterator[_TextConfig]:
    try:
        content = parse_json(path.read_bytes())
        for key in keys:
            content = content[key]
    except (OSError, JsonError, KeyError, TypeError, ValueError):  # absent, damaged, or of another kind
        return
    if isinstance(content, dict):
        yield _TextConfig(content, folder)
