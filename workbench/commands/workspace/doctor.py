"""`negwb doctor`: check the workspace, the record and the machine; repair derived data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import ExitCode

if TYPE_CHECKING:
    from curation_db.integrity.checks import CheckResult
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings.settings import Settings

_EPILOG = """\b
Examples:
  negwb doctor                 print one line per check
  negwb doctor --pictures      check every image file, not a sample
  negwb doctor --repair        rebuild states, queue and indexes from the events, after a backup
  negwb doctor --json | jq '.findings[] | select(.level != "ok")'

\b
Exit code 0: no errors; 3: the database is damaged; 1: another check failed.
"""
_MARKS = {"ok": "✓", "warning": "⚠", "error": "✗"}


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(doctor)


def doctor(
    context: typer.Context,
    pictures: Annotated[bool, typer.Option("--pictures", help="Check every image file, not a sample.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Rebuild derived data from the events, after a backup.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check the workspace, the record and this machine. Only --repair changes anything.

    Events are never changed: --repair rebuilds states, queue and indexes from them.
    """
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    repaired = _repair(workspace) if repair else []
    raise typer.Exit(_check(workspace, repaired, every=pictures, as_json=as_json))


def _repair(workspace: Workspace) -> list[str]:
    from curation_db.integrity.checks import repair
    from curation_db.language.sanitize import display_text
    from workbench.console.progress_bars import step_bars

    with step_bars(lines=True) as report_step:
        repaired = repair(workspace.database, progress=report_step)
    for line in repaired or ["nothing to repair"]:
        typer.echo(f"negwb: {display_text(line, limit=400)}", err=True)
    return repaired


def _check(workspace: Workspace, repaired: list[str], *, every: bool, as_json: bool) -> ExitCode:
    from workbench.console.progress_bars import step_bars
    from workbench.diagnostics.workspace_checks import around, examine, exit_code
    from workbench.workspace.settings.settings import OWN_THEMES

    def check_settings(settings: Settings) -> None:
        if settings.curate.theme not in OWN_THEMES:
            from workbench.tui.themes import check_theme  # imports textual

            check_theme(settings.curate.theme, workspace.settings)

    with step_bars(lines=True) as report_step:
        findings = list(examine(workspace, all_pictures=every, progress=report_step, check_settings=check_settings))
    findings += around(workspace)
    code = exit_code(findings)
    if as_json:
        rows = [
            {"group": group, "name": f.name, "level": str(f.level), "message": f.message, "hint": f.hint}
            for group, f in findings
        ]
        typer.echo(json.dumps({"sound": code != ExitCode.DATABASE, "findings": rows, "repaired": repaired}))
    else:
        for line in finding_lines(findings):
            typer.echo(line)
    return code


def finding_lines(findings: list[tuple[str, CheckResult]]) -> list[str]:
    """Return one line per finding with its hint below, grouped under the names of the groups."""
    from curation_db.language.sanitize import display_text

    width = max((len(finding.name) for _, finding in findings), default=0)
    lines: list[str] = []
    previous = ""
    for group, finding in findings:
        if group != previous:
            lines += [*([""] if lines else []), group]
            previous = group
        lines.append(f"  {_MARKS[finding.level]} {finding.name:<{width}}  {display_text(finding.message, limit=400)}")
        if finding.hint:
            lines.append(f"    {'':<{width}}  {display_text(finding.hint, limit=200)}")
    return lines
