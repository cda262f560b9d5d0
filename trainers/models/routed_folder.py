"""The folder of a routed model, which `load_model` reads, and which works without negwb.

routed_clip.json        format, version of the cue finder, sha256 of both models' weights
base/                   the base as an open_clip local-dir folder; the image tower is stored here only
tuned.safetensors       the weights in which the tuned model differs from the base
routed_clip/            a Python package for use without negwb; negwb never runs it
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.negation_cues import CUES_VERSION
from curation_db.language.sanitize import first_line
from curation_db.validation import ValidationError, validate
from trainers.errors import TrainerError
from trainers.models.clip_model import ClipModel, hash_state
from trainers.models.routed import RoutedClipModel, changed_weights, route_models, shapes, with_weights
from trainers.models.saving import save_model
from trainers.models.weight_files import read_weights, save_hashed

ROUTED_FILE = "routed_clip.json"
TUNED_WEIGHTS = "tuned.safetensors"
BASE_FOLDER = "base"
PACKAGE = "routed_clip"
TUNED = "tuned:"
"""Prefix of a folder that asks for its tuned part."""
FORMAT = 1
_MODULES = {
    "__init__": "trainers.models:routed_clip.py",
    "negation_cues": "curation_db.language:negation_cues.py",
    "negation_idioms": "curation_db.language:negation_idioms.py",
    "negation_lexicon": "curation_db.language:negation_lexicon.py",
    "negation_scope": "curation_db.language:negation_scope.py",
    "chunker": "curation_db.language:chunker.py",
    "enums": "curation_db:enums.py",
}
"""Modules of the package by their names in it: what `negates` imports, directly or not."""
_IMPORT = re.compile(r"^from (?:curation_db\.language|curation_db)(\.\w+)? import ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    """The name under which the model was loaded."""
    weights_sha256: str
    """`hash_state` of the weights that the folder has of this part."""


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of routed_clip.json."""

    format: int
    cues_version: int
    """`CUES_VERSION` of the cue finder in routed_clip/."""
    base: _Part
    tuned: _Part


def is_routed(folder: Path) -> bool:
    """Return whether `folder` has a routed model."""
    return (folder / ROUTED_FILE).is_file()


def save_routed(loaded: RoutedClipModel, folder: Path) -> None:
    """Save a routed model in `folder`."""
    save_model(loaded.base, folder / BASE_FOLDER)
    changed = changed_weights(loaded.base, loaded.tuned)
    if changed:
        save_hashed(changed, folder / TUNED_WEIGHTS)
    base = _Part(loaded.base.name, hash_state(loaded.base.model.state_dict()))
    content = _Content(FORMAT, CUES_VERSION, base, _Part(loaded.tuned.name, hash_state(changed)))
    (folder / ROUTED_FILE).write_text(json.dumps(asdict(content), indent=2) + "\n", encoding="utf-8")
    _write_package(folder / PACKAGE)


def _write_package(package: Path) -> None:
    package.mkdir(exist_ok=True)
    for name, source in _MODULES.items():
        module, _, file = source.partition(":")
        text = files(module).joinpath(file).read_text(encoding="utf-8")
        text = _IMPORT.sub(lambda match: f"from {match[1] or '.'} import ", text)
        (package / f"{name}.py").write_text(text, encoding="utf-8")


def read_routed(folder: Path, base: ClipModel) -> RoutedClipModel:
    """Read the routed model of `folder`, whose part `base` is loaded already.

    Raises:
        TrainerError: a file is damaged, of a newer negwb, or of another model.
    """
    content = _read_content(folder)
    no_changes = content.tuned.weights_sha256 == hash_state({})
    changed = {} if no_changes else dict(read_weights(folder / TUNED_WEIGHTS).state)
    sizes = shapes(base)
    fits = all(sizes.get(name) == tuple(value.shape) for name, value in changed.items())
    hashes = hash_state(base.model.state_dict()), hash_state(changed)
    if not fits or hashes != (content.base.weights_sha256, content.tuned.weights_sha256):
        raise TrainerError(
            f"{folder} is damaged: its weights are not those that {ROUTED_FILE} names",
            hint="copy the whole folder again",
        )
    loaded = route_models(base, with_weights(base, changed, name=f"{TUNED}{folder}"), name=str(folder))
    if content.cues_version != CUES_VERSION:
        line = (
            f"{folder} has version {content.cues_version} of the cue finder, and this negwb has version {CUES_VERSION}:"
            " a few texts are encoded by the other text tower"
        )
        loaded.warnings = (*loaded.warnings, line)
    return loaded


def _read_content(folder: Path) -> _Content:
    path = folder / ROUTED_FILE
    try:
        values = parse_json(path.read_bytes())
        newer = isinstance(values, dict) and isinstance(version := values.get("format"), int) and version > FORMAT
        if newer:
            raise TrainerError(f"{path} was written by a newer negwb", hint="update negwb")
        return validate(values, _Content)
    except (OSError, JsonError) as error:
        raise TrainerError(f"{path} is damaged: {first_line(error)}") from error
    except ValidationError as error:
        raise TrainerError(f"{path} is damaged: {error.problems[0]}") from error
