"""The declared dependencies match the imports, and the licences of bundled data are shipped."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("benchmarks", "curation_db", "trainers", "workbench")
UNSTABLE = {"sqlalchemy", "sqlmodel", "textual", "textual-plot", "textual-serve"}
"""Libraries whose minor releases have broken negwb."""


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return content


def normal(name: str) -> str:
    """Normalise a distribution's name as PyPI does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> dict[str, str]:
    """Return the accepted versions by distribution."""
    matches = [re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?(.*)", each) for each in requirements]
    return {normal(match[1]): match[2] for match in matches if match is not None}


@cache
def imported(package: str) -> frozenset[tuple[str, Path]]:
    """Return the top-level names of the third-party modules that the package imports, with the importing files."""
    return frozenset(_imports(package))


def _imports(package: str) -> Iterator[tuple[str, Path]]:
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    modules = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module), level=0):
                    modules = [module]
                case _:
                    continue
            for module in modules:
                name = module.partition(".")[0]
                if name not in PACKAGES and name not in sys.stdlib_module_names:
                    yield name, path


def test_every_imported_library_is_declared(project: dict[str, Any]) -> None:
    extras = [requirement for requirements in project["optional-dependencies"].values() for requirement in requirements]
    known = declared([*project["dependencies"], *extras]).keys()
    owners = packages_distributions()
    missing = {
        (name, str(path.relative_to(ROOT)))
        for package in PACKAGES
        for name, path in imported(package)
        if known.isdisjoint(normal(owner) for owner in owners.get(name, [name]))
    }
    assert missing == set()


NOT_IMPORTED = {
    "sniffio": "httpcore imports it if it is installed",
    "tensorboard": "imported by name, because it is optional",
    "torchvision": "open_clip imports it",
    "trackio": "imported by name, because it is optional",
    "wandb": "imported by name, because it is optional",
    "zstandard": "imported by name where the standard library has no Zstandard",
}
"""Declared libraries that no module imports, with the reason of their declaration."""


def test_every_declared_library_is_imported(project: dict[str, Any]) -> None:
    extras = [requirement for requirements in project["optional-dependencies"].values() for requirement in requirements]
    owners = packages_distributions()
    names = {name for package in PACKAGES for name, _ in imported(package)}
    used = {normal(owner) for name in names for owner in owners.get(name, [name])}
    assert declared([*project["dependencies"], *extras]).keys() - used == NOT_IMPORTED.keys()


def test_curation_db_needs_no_extra(project: dict[str, Any]) -> None:
    owners, known = packages_distributions(), declared(project["dependencies"]).keys()
    needed = {normal(owner) for name, _ in imported("curation_db") for owner in owners.get(name, [name])}
    assert needed <= known
    assert {"sqlalchemy", "alembic"} <= needed, "the check finds the imports"


def test_unstable_libraries_have_an_upper_bound(project: dict[str, Any]) -> None:
    accepted = declared([*project["dependencies"], *project["optional-dependencies"]["serve"]])
    assert {name for name in UNSTABLE if "<" not in accepted[name]} == set()


def test_the_licence_of_the_clip_vocabulary_is_shipped(project: dict[str, Any]) -> None:
    shipped = [path.read_text(encoding="utf-8") for each in project["license-files"] for path in ROOT.glob(each)]
    (notice,) = [text for text in shipped if "Copyright (c) 2021 OpenAI" in text]
    assert "MIT License" in notice
    assert "clip_merges.txt.xz" in notice
    assert "The above copyright notice and this permission notice shall be included" in notice
    assert (ROOT / "curation_db/data/clip_merges.txt.xz").is_file()
    assert project["license"] == "Apache-2.0 AND MIT"
