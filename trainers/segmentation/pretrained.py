"""Loads models of transformers from a folder or from the cache of the Hugging Face hub, safetensors only.

Nothing is downloaded: missing weights are an error that names the command that gets them. A checkpoint without some of
the model's weights is refused, because transformers would fill them with random numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from curation_db.language.sanitize import display_text, first_line
from trainers.errors import ModelRefused

CLIPSEG: Final = "CIDAS/clipseg-rd64-refined"
"""The published weights of CLIPSeg on the Hugging Face hub."""
CLIPSEG_MODEL: Final = "CLIPSeg model"
"""Its kind, in messages."""
SAM: Final = "facebook/sam-vit-base"
"""The published weights of a small SAM on the Hugging Face hub."""
SAM_MODEL: Final = "mask generation model"
"""Its kind, in messages."""


def load_pretrained(model_class: Any, processor_class: Any, name: str, *, what: str, device: str) -> tuple[Any, Any]:
    """Return a model in evaluation mode and its image processor.

    Args:
        model_class: Class of transformers with `from_pretrained`.
        processor_class: Class of the image processor.
        name: Folder, or OWNER/NAME on the Hugging Face hub.
        what: Kind of the model, for messages.

    Raises:
        ModelRefused: There are no weights, they are incomplete or damaged, or the device cannot be used.
    """
    folder = find_folder(name, what)
    try:
        with _quiet():
            model, info = model_class.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
            processor = processor_class.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers raises errors of many classes for a missing or damaged folder
        raise _unusable(name, what, folder, error) from error
    lacking = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if lacking:
        raise ModelRefused(
            f"{name} lacks {len(lacking):,} weights of a {what}: {display_text(lacking[0], limit=80)}",
            hint=_download_hint(name),
        )
    try:
        model.to(device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ModelRefused(
            f"the device {device} cannot be used: {first_line(error)}", hint="cpu always works"
        ) from error
    return model.eval(), processor


def config_facts(values: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of transformers without names and versions, as JSON types."""
    left_out = {"_name_or_path", "transformers_version", "torch_dtype", "dtype"}
    return {key: _plain(value) for key, value in values.items() if key not in left_out}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return config_facts(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def find_folder(name: str, what: str) -> Path:
    """Return the folder of a model: `name` itself, or its snapshot in the cache of the Hugging Face hub.

    Raises:
        ModelRefused: There is none.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415 -- a tenth of a second

    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception as error:  # not in the cache, or not a name: the client raises errors of several classes
        raise _missing(name, what) from error


def _missing(name: str, what: str) -> ModelRefused:
    return ModelRefused(f"there are no weights of the {what} {name} on this machine", hint=_download_hint(name))


def _unusable(name: str, what: str, folder: Path, error: Exception) -> ModelRefused:
    if any(folder.glob("*.safetensors")):
        return ModelRefused(f"{name} cannot be loaded as a {what}: {first_line(error)}", hint=_download_hint(name))
    if any(folder.glob("*.bin")):
        message = f"{name} has no safetensors file; weights in a pickle are not read"
        return ModelRefused(message, hint="convert them, or get a revision with model.safetensors")
    return _missing(name, what)


def _download_hint(name: str) -> str:
    if name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).exists():
        return f"get them with: hf download {name}  (or copy its folder here and name it)"
    return "name a folder with config.json, preprocessor_config.json and model.safetensors"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the tables and bars of transformers: problems are reported as errors of one line."""
    from transformers.utils import logging as messages  # noqa: PLC0415 -- the caller has loaded transformers

    level = messages.get_verbosity()
    shows_bars = messages.is_progress_bar_enabled()
    messages.set_verbosity(logging.CRITICAL)
    messages.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if shows_bars:
            messages.enable_progress_bar()  # type: ignore[no-untyped-call]
