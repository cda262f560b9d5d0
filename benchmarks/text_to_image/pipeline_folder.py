"""Finds and checks the folder of a Stable Diffusion pipeline before torch is loaded.

A pipeline is a folder in the layout of diffusers, or the name of a repository whose files are in the cache of the
Hugging Face hub. Nothing is downloaded here: it is several gigabytes, under a licence that a person has to accept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchError
from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.sanitize import display_text

DEFAULT_PIPELINE: Final = "CompVis/stable-diffusion-v1-4"
"""The pipeline of the NegationCLIP paper."""
INDEX: Final = "model_index.json"
PIPELINE_CLASS: Final = "StableDiffusionPipeline"
_MODELS: Final = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
"""Folder of each model to the stem of its weight file."""
_OTHERS: Final = ("scheduler", "tokenizer")
_LIBRARIES: Final = frozenset({"diffusers", "transformers", "stable_diffusion"})
"""Libraries whose classes a pipeline may name; others would be code of its folder."""
_HALF: Final = "fp16"
_FILES: Final = '--include "*.json" "*.txt" "*/*.safetensors"'


@dataclass(frozen=True, slots=True)
class PipelineFolder:
    name: str
    """As named by the person."""
    path: Path
    variant: str | None
    """fp16 if the folder has no other weights."""

    @property
    def download_hint(self) -> str:
        return _download_hint(self.name)


def find_pipeline(name: str) -> PipelineFolder:
    """Return the checked folder of the pipeline `name`, a folder or a repository of the Hugging Face hub.

    Raises:
        BenchError: There is no such folder, it is not Stable Diffusion 1.x, or its weights are missing or pickled.
    """
    path = _folder(name)
    index = _read(path / INDEX, name)
    if (kind := index.get("_class_name")) != PIPELINE_CLASS:
        shown = display_text(str(kind), limit=60)
        raise BenchError(f"{name} is a {shown}, not a {PIPELINE_CLASS}", hint=f"use Stable Diffusion 1.x: {_EXAMPLE}")
    for component, value in index.items():
        if isinstance(value, list) and value[0] is not None and value[0] not in _LIBRARIES:
            shown = display_text(f"{component} of {value[0]}", limit=80)
            raise BenchError(f"{name} needs code of its own ({shown}), which negwb does not run", hint=_EXAMPLE)
    for component in (*_MODELS, *_OTHERS):
        if not (path / component).is_dir():
            raise BenchError(f"the pipeline {name} has no folder {component}", hint=_download_hint(name))
    variants = {_variant(path, name, component) for component in _MODELS}
    return PipelineFolder(name, path, _HALF if _HALF in variants else None)


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    if _is_folder(path):
        return path.absolute()
    if path.suffix in {".ckpt", ".safetensors", ".pt", ".bin"}:
        hint = "name a folder in the layout of diffusers, with one folder for each component"
        raise BenchError(f"{name} is a single weight file, not a pipeline", hint=hint)
    if name.count("/") != 1 or path.is_absolute() or name.startswith((".", "~")):
        raise BenchError(f"there is no pipeline {display_text(name, limit=200)}", hint=f"name a folder: {_EXAMPLE}")
    from huggingface_hub import snapshot_download  # noqa: PLC0415  # a tenth of a second, only for names of the hub

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception as error:  # the client of the hub raises errors of several libraries
        missing = f"the pipeline {display_text(name, limit=200)} is not on this machine"
        raise BenchError(missing, hint=_download_hint(name)) from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # not a valid file name
        return False


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        content = parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BenchError(f"{name} is not a pipeline: it has no {path.name}", hint=_download_hint(name)) from error
    except (JsonError, OSError) as error:
        raise BenchError(f"{path} is damaged: {display_text(str(error), limit=120)}") from error
    if not isinstance(content, dict):
        raise BenchError(f"{path} is damaged: it is no JSON object")
    return content


def _variant(path: Path, name: str, component: str) -> str | None:
    """Return the variant of a model's weights.

    Raises:
        BenchError: There are no weights, or pickled ones only.
    """
    folder, stem = path / component, _MODELS[component]
    for variant in (None, _HALF):
        middle = f".{variant}" if variant else ""
        names = (f"{stem}{middle}.safetensors", f"{stem}.safetensors.index{middle}.json")
        if any((folder / each).is_file() for each in names):
            return variant
    if pickled := next(_pickled(folder), None):
        raise BenchError(
            f"{component} of {name} has pickled weights only ({pickled}), which can run code: refused",
            hint=f"use safetensors; {_download_hint(name)}",
        )
    raise BenchError(f"{component} of {name} has no weights ({stem}.safetensors)", hint=_download_hint(name))


def _pickled(folder: Path) -> Iterator[str]:
    yield from sorted(each.name for each in folder.iterdir() if each.suffix in {".bin", ".pt", ".pth", ".ckpt"})


_EXAMPLE: Final = f"--pipeline PATH, or {DEFAULT_PIPELINE}"


def _download_hint(name: str) -> str:
    """Return how to get the pipeline, and how to name a folder."""
    repository = name if name.count("/") == 1 and not _is_folder(Path(name).expanduser()) else DEFAULT_PIPELINE
    return f"get it with: hf download {repository} {_FILES}  or name a folder: --pipeline PATH"
