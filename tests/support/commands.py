"""Commands of negwb run in the process of the test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from curation_db.atomic_write import replace_file
from workbench import cli
from workbench.commands import imports
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace


def negwb(workspace: Workspace, *args: object, **options: Any) -> Result:
    """Run a command in `workspace`; an error is the exception of the result."""
    return CliRunner().invoke(cli.app, ["-w", str(workspace.root), *map(str, args)], **options)


def curate_plain(workspace: Workspace, name: str, lines: str) -> Result:
    """Run `negwb curate --plain` as annotator `name` with `lines` as input."""
    return negwb(workspace, "curate", "--plain", "-a", name, input=lines)


def workspace_with_candidates(folder: Path, candidates: int) -> Workspace:
    """Create a workspace in `folder` with candidates of different images and without an audit."""
    workspace = create_workspace(folder / "ws")
    replace_file(workspace.settings, "[curate]\naudit_rate = 0\n")
    table = folder / "rows.csv"
    rows = (f"{n}.jpg,a dog,a dog without a hat {n}\n" for n in range(candidates))
    table.write_text("image,caption,negated\n" + "".join(rows))
    assert negwb(workspace, "import", table, "--map", "candidate=negated").exit_code == 0
    return workspace


def import_command(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a function that runs `negwb import` with its arguments, as `main` does, and returns the exit code."""
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

    @app.callback()
    def root(context: typer.Context) -> None:
        context.obj = workspace.root

    imports.register(app)
    monkeypatch.setattr(cli, "app", app)

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["negwb", "import", *map(str, arguments)])
        return cli.main()

    return run
