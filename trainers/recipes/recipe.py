"""Recipes of trainings as data files: `NAME.toml` in this folder, or a file of the user.

A recipe gives the settings that differ from the defaults of `TrainSettings`, a summary and the source of its values.
Does not import torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from curation_db.validation import ValidationError, closest, validate
from trainers.errors import TrainerError
from trainers.settings import AppliedRecipe, TrainSettings

_SUFFIX = ".toml"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TrainRecipe:
    name: str
    """Name of a recipe of negwb, or path of a file."""
    summary: str
    """Description in one line."""
    source: str
    """Where the values come from."""
    settings: Mapping[str, Any]
    """Fields of `TrainSettings`; the others have their defaults."""

    def applied(self, settings: TrainSettings, origins: Mapping[str, str]) -> AppliedRecipe:
        """Return the record of this recipe in a run with `settings`.

        Args:
            origins: name of a setting to the origin of its value, where it is not the recipe.
        """
        whole, used = TrainSettings.from_dict(self.settings).to_dict(), settings.to_dict()
        overridden = {name: origins.get(name, "") for name in used if used[name] != whole[name]}
        return AppliedRecipe(
            name=self.name, summary=self.summary, source=self.source, settings=self.settings, overridden=overridden
        )


@dataclass(frozen=True, slots=True)
class _Content:
    summary: str
    source: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def list_recipes() -> list[TrainRecipe]:
    """Return the recipes of negwb, by name."""
    names = sorted(entry.name for entry in files(__package__).iterdir() if entry.name.endswith(_SUFFIX))
    return [read_recipe(name.removesuffix(_SUFFIX)) for name in names]


def read_recipe(name: str) -> TrainRecipe:
    """Read a recipe of negwb by its name, or a file whose name ends with .toml.

    Raises:
        TrainerError: the recipe does not exist, or the file is damaged.
    """
    if name.endswith(_SUFFIX):
        return _parse(name, _read_file(Path(name).expanduser()))
    folder = files(__package__)
    known = sorted(entry.name.removesuffix(_SUFFIX) for entry in folder.iterdir() if entry.name.endswith(_SUFFIX))
    if name not in known:
        near = closest(name, known)
        hint = (
            f"{f'did you mean {near}? ' if near else ''}known: {', '.join(known)}; or a file that ends with {_SUFFIX}"
        )
        raise TrainerError(f"unknown recipe {name!r}", hint=hint)
    return _parse(name, (folder / f"{name}{_SUFFIX}").read_bytes())


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise TrainerError(f"the recipe {path} cannot be read: {reason}") from error
    if len(content) > _MAX_BYTES:
        raise TrainerError(f"{path} is not a recipe: it has more than {_MAX_BYTES:,} bytes")
    return content


def _parse(name: str, text: bytes) -> TrainRecipe:
    try:
        content = validate(tomllib.loads(text.decode("utf-8")), _Content)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainerError(f"the recipe {name} is not TOML: {error}") from error
    except ValidationError as error:
        raise TrainerError(f"the recipe {name}: {error.problems[0]}") from error
    try:
        TrainSettings.from_dict(content.settings)
    except TrainerError as error:
        raise TrainerError(f"the recipe {name}: {error.message}", hint=error.hint) from error
    return TrainRecipe(name, content.summary, content.source, content.settings)
