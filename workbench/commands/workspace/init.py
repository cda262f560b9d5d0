"""`negwb init`: create a workspace."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

_EPILOG = "Example:  negwb init my-set && cd my-set"


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the workspace; created if missing.")] = Path(),
) -> None:
    """Create a workspace: settings, guidelines and an empty record.

    Writes negwb.toml, curation.db and guidelines.md; leaves other files in the folder unchanged.
    """
    from workbench.workspace.create import create_workspace

    workspace = create_workspace(folder)
    typer.echo(f"negwb: created a workspace in {workspace.root}. Next:", err=True)
    if workspace.root != Path.cwd():
        typer.echo(f"       cd {shlex.quote(str(folder))}", err=True)
    typer.echo("       negwb import CAPTIONS.json --pictures FOLDER", err=True)
    typer.echo("       negwb curate", err=True)
