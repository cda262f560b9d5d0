"""The models of a report as a hub names them: developer, repository name, and the results of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.analysis.comparison import ComparisonRow, Report
from benchmarks.protocols import PROTOCOLS
from workbench.workspace.models import ACTIVATIONS, HUB, TUNED

LOCAL: Final = "local"
"""Owner of a model without an account on a hub."""
OPEN_CLIP: Final = "open_clip"
"""Stands for the developer of pretrained weights that open_clip names."""
_NOT_PORTABLE = re.compile(r"[^A-Za-z0-9._-]+")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?|data|unknown|", re.IGNORECASE)
"""Names that Windows or Every Eval Ever refuses, and the empty one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    name: str
    """As in the report."""
    developer: str
    directory: str
    """Name of its repository and of its folders; unique among the models of a developer, without regard to case."""
    hash: str
    run: Path | None
    """The run of this workspace that trained it."""
    rows: tuple[ComparisonRow, ...]

    @property
    def id(self) -> str:
        """Name on a hub: developer/directory."""
        return f"{self.developer}/{self.directory}"

    @property
    def is_on_hub(self) -> bool:
        return self.name.startswith(f"{HUB}:")

    @property
    def headlines(self) -> tuple[ComparisonRow, ...]:
        """One result per task and data set: the strict one where it exists."""
        best: dict[tuple[str, str], ComparisonRow] = {}
        for row in sorted(self.rows, key=lambda row: row.protocol != PROTOCOLS[0]):
            best.setdefault((row.task, row.dataset_sha256), row)
        return tuple(best.values())


def published_models(report: Report, runs: Mapping[str, Path], owner: str) -> list[PublishedModel]:
    """Return the models of the report in its order.

    Args:
        runs: Runs by the hash of their model.
        owner: Account that the models of runs and of local files belong to.
    """
    rows: dict[str, list[ComparisonRow]] = {}
    for row in report.rows:
        rows.setdefault(row.model_hash, []).append(row)
    names = {digest: _identity(own[0].model, owner) for digest, own in rows.items()}
    count = Counter(_folded(*identity) for identity in names.values())
    models = []
    for digest, own in rows.items():
        developer, directory = names[digest]
        if count[_folded(developer, directory)] > 1:
            directory = f"{directory}-{portable_name(digest)[:8]}"
        models.append(
            PublishedModel(
                name=own[0].model,
                developer=developer,
                directory=directory,
                hash=digest,
                run=runs.get(digest),
                rows=tuple(own),
            )
        )
    return models


def _identity(name: str, owner: str) -> tuple[str, str]:
    prefix, _, rest = name.partition(":")
    if prefix == HUB and "/" in rest:
        developer, _, repository = rest.partition("/")
        return portable_name(developer), portable_name(repository)
    is_named = bool(rest) and "/" not in name and f"{prefix}:" != TUNED and prefix not in ACTIVATIONS
    developer = OPEN_CLIP if is_named else owner
    return portable_name(developer), portable_name(name)


def _folded(developer: str, directory: str) -> str:
    return f"{developer}/{directory}".casefold()


def portable_name(text: str) -> str:
    """Return `text` as a name of a file that every system, the Hugging Face Hub and Every Eval Ever accept."""
    name = _NOT_PORTABLE.sub("-", text).strip(".-")[:80].rstrip(".-")
    return f"_{name}" if _RESERVED.fullmatch(name) else name
