"""`negwb export-verify`: check that an export or a derived set is what was written."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.errors import UsageError
from workbench.installation import install_command

if TYPE_CHECKING:
    from collections.abc import Mapping

_EPILOG = """\b
Examples:
  negwb export-verify set-001
  negwb export-verify ~/sets/set-001 --json      a folder, also outside of a workspace
  negwb export-verify set-001-csv                what export-as wrote, against its export

\b
Exit codes: 0 all is as it was written, 6 there are problems.
"""


def register(app: typer.Typer) -> None:
    app.command("export-verify", epilog=_EPILOG)(export_verify)


def export_verify(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="Name in exports/ or derived/, or a folder.")],
    export: Annotated[
        str | None,
        typer.Option(metavar="NAME|FOLDER", help="Of a derived set: its export.", show_default="the one in exports/"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check size and hash of every file of an export; print one line per problem.

    Of a set that `negwb export-as` wrote, its rows are also counted and compared with the pairs of its export.
    """
    from workbench.export_formats.verify import is_derived

    folder = _folder_of(context.obj, name)
    facts = _check_derived(context.obj, folder, export) if is_derived(folder) else _check_export(folder)
    _print(facts, as_json=as_json)


def _check_export(folder: Path) -> dict[str, Any]:
    from curation_db.exporting.manifest import ManifestError, read_manifest, verify

    problems = verify(folder)
    try:
        manifest = read_manifest(folder)
    except ManifestError:
        manifest = None
    return {
        "name": folder.name,
        "path": str(folder),
        "format": None,
        "export_sha256": manifest.export_sha256 if manifest else None,
        "event": manifest.event_seq if manifest else None,
        "files": len(manifest.files) + 1 if manifest else 0,
        "problems": problems,
    }


def _check_derived(workspace_option: Path | None, folder: Path, export: str | None) -> dict[str, Any]:
    from curation_db.exporting.manifest import ManifestError, read_manifest, verify
    from workbench.export_formats.verify import read_derived, verify_derived

    try:
        manifest = read_derived(folder)
    except ManifestError as error:
        return {"name": folder.name, "path": str(folder), "format": None, "files": 0, "problems": [str(error)]}
    source = (
        _export_of(workspace_option, manifest.export_sha256) if export is None else _folder_of(workspace_option, export)
    )
    problems: list[str] = []
    if source is not None:
        problems = [f"the export {source.name}: {problem}" for problem in verify(source)]
        if not problems and read_manifest(source).export_sha256 != manifest.export_sha256:
            problems = [f"it comes from another export than {source.name}"]
    try:
        problems += verify_derived(folder, None if problems else source)
    except ModuleNotFoundError as error:
        raise UsageError(f"{manifest.data_format} needs {error.name}", hint=install_command("exports")) from error
    return {
        "name": folder.name,
        "path": str(folder),
        "format": manifest.data_format,
        "export_sha256": manifest.export_sha256,
        "export": None if source is None else str(source),
        "pairs": sum(manifest.pairs.values()),
        "files": len(manifest.files) + 1,
        "problems": problems,
    }


def _export_of(workspace_option: Path | None, export_sha256: str) -> Path | None:
    """Return the folder of the export with this hash; None: the workspace does not have it."""
    from curation_db.exporting.manifest import ManifestError, list_exports, read_manifest
    from workbench.workspace.layout import find_workspace

    try:
        exports = find_workspace(workspace_option).exports
    except UsageError:
        return None
    for name in list_exports(exports):
        with suppress(ManifestError):
            if read_manifest(exports / name).export_sha256 == export_sha256:
                return exports / name
    return None


def _print(facts: Mapping[str, Any], *, as_json: bool) -> None:
    from curation_db.language.sanitize import display_text
    from workbench.errors import ExitCode

    if as_json:
        typer.echo(json.dumps(facts))
    else:
        for problem in facts["problems"]:
            typer.echo(display_text(problem, limit=400))
        if not facts["problems"]:
            typer.echo(f"{display_text(facts['name'])}: {facts['files']} files, as {_state(facts)}")
    if facts["problems"]:
        raise typer.Exit(ExitCode.FAILED)


def _state(facts: Mapping[str, Any]) -> str:
    from curation_db.language.sanitize import counted, display_text

    if facts["format"] is None:
        return "frozen"
    if facts["export"] is None:
        return "written; the export is not here, so that its pairs were not compared (--export FOLDER)"
    return f"written; {counted(facts['pairs'], 'pair')} of the export {display_text(Path(facts['export']).name)}"


def _folder_of(workspace_option: Path | None, name: str) -> Path:
    """Return the folder of an export or a derived set: its name in the workspace, or a path, also without a workspace.

    Raises:
        UsageError: there is no such folder.
    """
    from workbench.workspace.layout import find_workspace

    path = Path(name).expanduser()
    try:
        workspace = find_workspace(workspace_option)
        named = [workspace.exports / name, workspace.derived / name]
    except UsageError:
        if not path.is_dir():
            raise
        named = []
    for folder in (*named, path):
        if folder.is_dir():
            return folder.resolve()
    raise UsageError(f"there is no export {name!r}", hint="freeze one with: negwb export; list them: negwb status")
