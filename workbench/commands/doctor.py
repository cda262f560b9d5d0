"""`negwb doctor`: is everything as it must be; and what can be made again, made again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import ExitCode

if TYPE_CHECKING:
    from curation_db.integrity.checks import CheckResult
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings import Settings

_EPILOG = """\b
Examples:
  negwb doctor                 one line a question
  negwb doctor --pictures      look for every picture, not for a sample
  negwb doctor --repair        make states, queue and indexes anew out of the events, after a backup
  negwb doctor --json | jq '.findings[] | select(.level != "ok")'

\b
Exit code 0: sound; 3: the database is unsound; 1: something else is wrong.
"""
_MARKS = {"ok": "✓", "warning": "⚠", "error": "✗"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(doctor)


def doctor(
    context: typer.Context,
    pictures: Annotated[bool, typer.Option("--pictures", help="Look for every picture, not for a sample.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make anew what can be made out of the events; a backup first.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look over the workspace, the record and this machine; changes nothing unless told to.

    Events are never touched: what --repair makes anew is what they say.
    """
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    mended = _repair(workspace) if repair else []
    raise typer.Exit(_check(workspace, mended, every=pictures, as_json=as_json))


def _repair(workspace: Workspace) -> list[str]:
    from curation_db.integrity.checks import repair
    from curation_db.language.sanitize import display_text
    from workbench.console.progress_bars import step_bars

    with step_bars(lines=True) as tell:
        done = repair(workspace.database, progress=tell)
    for line in done or ["nothing is to be repaired"]:
        typer.echo(f"negwb: {display_text(line, limit=400)}", err=True)
    return done


def _check(workspace: Workspace, mended: list[str], *, every: bool, as_json: bool) -> ExitCode:
    from workbench.console.progress_bars import step_bars
    from workbench.diagnostics.workspace_checks import around, examine, exit_code
    from workbench.workspace.settings import OWN_THEMES

    def check_settings(settings: Settings) -> None:
        if settings.curate.theme not in OWN_THEMES:
            from workbench.tui.themes import check_theme  # imports textual

            check_theme(settings.curate.theme, workspace.settings)

    with step_bars(lines=True) as tell:
        found = list(examine(workspace, all_pictures=every, progress=tell, check_settings=check_settings))
    found += around(workspace)
    code = exit_code(found)
    if as_json:
        told = [
            {"group": group, "name": f.name, "level": str(f.level), "said": f.said, "hint": f.hint}
            for group, f in found
        ]
        typer.echo(json.dumps({"sound": code != ExitCode.DATABASE, "findings": told, "repaired": mended}))
    else:
        for line in finding_lines(found):
            typer.echo(line)
    return code


def finding_lines(found: list[tuple[str, CheckResult]]) -> list[str]:
    """One line a finding, what to do about it below it; the groups under their names."""
    from curation_db.language.sanitize import display_text

    width = max((len(finding.name) for _, finding in found), default=0)
    said: list[str] = []
    group = ""
    for each, finding in found:
        if each != group:
            said += [*([""] if said else []), each]
            group = each
        said.append(f"  {_MARKS[finding.level]} {finding.name:<{width}}  {display_text(finding.said, limit=400)}")
        if finding.hint:
            said.append(f"    {'':<{width}}  {display_text(finding.hint, limit=200)}")
    return said
