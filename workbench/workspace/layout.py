"""The files of a workspace, and the search for the workspace of a command.

A workspace is a folder with negwb.toml. Everything else in it has a fixed name, so that a copy of the folder works.
"""

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
    root: Path

    @property
    def settings(self) -> Path:
        return self.root / SETTINGS_FILE

    @property
    def database(self) -> Path:
        return self.root / DATABASE_FILE

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    @property
    def derived(self) -> Path:
        """Folder of the sets in formats of other programs, which `negwb export-as` derives from exports."""
        return self.root / "derived"

    @property
    def guidelines(self) -> Path:
        """The annotation guidelines, in Markdown."""
        return self.root / GUIDELINES_FILE

    @property
    def rejects(self) -> Path:
        """Folder of the lists of rows that imports refused."""
        return self.root / "rejects"

    @property
    def batches(self) -> Path:
        """Folder of the submitted batch files and their answers."""
        return self.root / "batches"

    @property
    def cache(self) -> Path:
        """Folder of files that can be computed again."""
        return self.root / "cache"


class NoWorkspace(UsageError):
    """No workspace is named, and none contains the current folder."""


def find_workspace(named: Path | None = None, *, start: Path | None = None) -> Workspace:
    """Return the workspace `named`, else that of NEGWB_WORKSPACE, else the first one from `start` upwards.

    Raises:
        NoWorkspace: none is named, and none contains the current folder.
        UsageError: the named folder is no workspace.
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
    raise NoWorkspace(
        f"no workspace in {here} or above it",
        hint="create one with: negwb init my-workspace  (or name one with -w, or NEGWB_WORKSPACE)",
    )
