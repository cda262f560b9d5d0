"""`negwb export-croissant` and `negwb export-paper`: describe a frozen export by what the record proves."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import NegwbError, UsageError

if TYPE_CHECKING:
    from workbench.reports.exports.summary import ExportSummary
    from workbench.workspace.layout import Workspace

_CROISSANT_EPILOG = """\b
Examples:
  negwb export-croissant set-001 > croissant.json
  negwb export-croissant set-001 --url https://example.org/sets/set-001 --out croissant.json

\b
Publish the file in one folder with the files of the export. Fields about things that the record does not contain, such
as demographics, are left out: add them by hand.
"""
_PAPER_EPILOG = """\b
Examples:
  negwb export-paper set-001 --md
  negwb export-paper set-001 --tex --out data.tex
"""
_NAME = typer.Argument(metavar="NAME", help="Frozen export: its name in exports/.")
_OUT = typer.Option(metavar="FILE", help="Write a file.", show_default="print")
_NAMES = typer.Option("--names", help="Write the names of annotators instead of pseudonyms.")


def register(app: typer.Typer) -> None:
    app.command("export-croissant", epilog=_CROISSANT_EPILOG)(export_croissant)
    app.command("export-paper", epilog=_PAPER_EPILOG)(export_paper)


def export_croissant(
    context: typer.Context,
    name: Annotated[str, _NAME],
    out: Annotated[Path | None, _OUT] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Address of the published folder.")] = None,
    names: Annotated[bool, _NAMES] = False,
) -> None:
    """Write Croissant metadata of a frozen export, with the Responsible-AI fields that the record proves.

    The output is JSON-LD (Croissant 1.1): files with hashes, fields of items.jsonl, licenses, agreement, judges,
    policies, biases and limits. Equal records give equal bytes.
    """
    from curation_db.exporting.manifest import MANIFEST_FILE, file_facts
    from workbench.reports.exports.croissant import GuidelinesText, croissant
    from workbench.workspace.guidelines import read_guidelines
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    summary = read_summary(workspace, name, names)
    guidelines = read_guidelines(workspace)
    facts = file_facts(workspace.exports / name / MANIFEST_FILE)
    metadata = croissant(summary, facts, GuidelinesText(guidelines.text, guidelines.own), url=url)
    write_description(json.dumps(metadata, indent=2) + "\n", out)


def export_paper(
    context: typer.Context,
    name: Annotated[str, _NAME],
    tex: Annotated[bool, typer.Option("--tex/--md", help="LaTeX, or Markdown.")] = False,
    out: Annotated[Path | None, _OUT] = None,
    names: Annotated[bool, _NAMES] = False,
) -> None:
    """Write the methods paragraph and the tables of a frozen export; every number comes from the record."""
    from workbench.reports.exports.paper import to_latex, to_markdown
    from workbench.workspace.layout import find_workspace

    summary = read_summary(find_workspace(context.obj), name, names)
    write_description(to_latex(summary) if tex else to_markdown(summary), out)


def read_summary(workspace: Workspace, name: str, names: bool) -> ExportSummary:
    """Read the summary of an unchanged export of this record."""
    from curation_db.events.event_clock import HistoryRelation, relation_of
    from curation_db.exporting.manifest import list_exports, read_manifest, verify
    from curation_db.storage.store import open_read_only
    from workbench.console.progress_bars import step_bars
    from workbench.reports.exports.summary import summarize
    from workbench.workspace.settings.settings import read_settings

    if name not in list_exports(workspace.exports):
        raise UsageError(f"there is no export {name!r}", hint="freeze one with: negwb export; list them: negwb status")
    folder = workspace.exports / name
    if problems := verify(folder):
        raise NegwbError(f"the export {name} was changed: {problems[0]}", hint="freeze it again under another name")
    manifest = read_manifest(folder)
    with open_read_only(workspace.database) as store, store.read() as connection:
        relation = relation_of(connection, manifest.event_seq, manifest.event_uid, manifest.lineage)
        if relation is not HistoryRelation.SAME:
            raise NegwbError(
                f"the record does not contain the history of the export {name}, so it proves nothing about it",
                hint="use the workspace in which it was frozen, or freeze a new export",
            )
        limit = read_settings(workspace.settings).export.blind_limit
        with step_bars(lines=True) as bars:
            progress = partial(bars, "blind gate")
            return summarize(connection, folder, names=names, blind_limit=limit, progress=progress)


def write_description(text: str, out: Path | None) -> None:
    from curation_db.atomic_write import replace_file

    if out is None:
        typer.echo(text, nl=False)
        return
    path = out.expanduser()
    try:
        replace_file(path, text)
    except OSError as error:
        raise NegwbError(f"cannot write {path}: {error.strerror or error}") from error
    typer.echo(str(path))
