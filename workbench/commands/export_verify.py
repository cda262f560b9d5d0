"""`negwb export-verify`: check that the files of an export are what was frozen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

_EPILOG = """\b
Examples:
  negwb export-verify set-001
  negwb export-verify ~/sets/set-001 --json      a folder, also outside of a workspace

\b
Exit codes: 0 every file has the bytes that the manifest lists, 6 there are problems.
"""


def register(app: typer.Typer) -> None:
    app.command("export-verify", epilog=_EPILOG)(export_verify)


def export_verify(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="Name in exports/, or a folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check size and hash of every file of an export; print one line per problem."""
    from curation_db.exporting.manifest import ManifestError, read_manifest, verify
    from curation_db.language.sanitize import display_text
    from workbench.errors import ExitCode

    folder = _folder_of(context.obj, name)
    problems = verify(folder)
    try:
        manifest = read_manifest(folder)
    except ManifestError:
        manifest = None
    if as_json:
        facts = {
            "name": folder.name,
            "path": str(folder),
            "export_sha256": manifest.export_sha256 if manifest else None,
            "event": manifest.event_seq if manifest else None,
            "problems": problems,
        }
        typer.echo(json.dumps(facts))
    else:
        for problem in problems:
            typer.echo(display_text(problem, limit=400))
        if manifest is not None and not problems:
            typer.echo(f"{display_text(folder.name)}: {len(manifest.files) + 1} files, as frozen")
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def _folder_of(workspace_option: Path | None, name: str) -> Path:
    """Return the folder of an export: its name in exports/ of the workspace, or a path, also without a workspace.

    Raises:
        UsageError: there is no such folder.
    """
    from pathlib import Path

    from workbench.errors import UsageError
    from workbench.workspace.layout import find_workspace

    path = Path(name).expanduser()
    try:
        named = find_workspace(workspace_option).exports / name
    except UsageError:
        if not path.is_dir():
            raise
        named = path
    for folder in (named, path):
        if folder.is_dir():
            return folder.resolve()
    raise UsageError(f"there is no export {name!r}", hint="freeze one with: negwb export; list them: negwb status")
