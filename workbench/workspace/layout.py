"""Where a workspace is and what lies in it (DESIGN section 3)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import UsageError

SETTINGS_FILE = "negwb.toml"
DATABASE_FILE = "curation.db"
GUIDELINES_FILE = "guidelines.md"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of one piece of work."""

    root: Path

    @property
    def settings(self) -> Path:
        """negwb.toml."""
        return self.root / SETTINGS_FILE

    @property
    def database(self) -> Path:
        """The record."""
        return self.root / DATABASE_FILE

    @property
    def exports(self) -> Path:
        """Frozen sets, a folder each."""
        return self.root / "exports"

    @property
    def guidelines(self) -> Path:
        """What its people have agreed on, in Markdown."""
        return self.root / GUIDELINES_FILE

    @property
    def rejects(self) -> Path:
        """Lists of the rows that imports refused."""
        return self.root / "rejects"

    @property
    def cache(self) -> Path:
        """Whatever can be made again."""
        return self.root / "cache"


def find_workspace(named: Path | None = None, *, start: Path | None = None) -> Workspace:
    """The workspace to work in: `named`, else NEGWB_WORKSPACE, else the first one from `start` upwards.

    Raises:
        UsageError: there is none.
    """
    given = named or (Path(os.environ["NEGWB_WORKSPACE"]) if os.environ.get("NEGWB_WORKSPACE") else None)
    if given is not None:
        if not (given / SETTINGS_FILE).is_file():
            raise UsageError(f"{given} is no workspace", hint=f"create it with: negwb init {given}")
        return Workspace(given.absolute())
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / SETTINGS_FILE).is_file():
            return Workspace(folder)
    raise UsageError(
        f"no workspace in {here} or above it",
        hint="create one with: negwb init my-workspace  (or name one with -w, or NEGWB_WORKSPACE)",
    )
