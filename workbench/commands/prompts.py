"""`negwb prompts`: what people accept of each prompt version, and what an accepted candidate costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from curation_db.stats.prompt_acceptance import Dimension

_HELP = {"help_option_names": ["-h", "--help"]}
_BY = "proposer,prompt,cue,type"
_EPILOG = """\b
Examples:
  negwb prompts                             by proposer model, prompt version, cue and negation type
  negwb prompts --by prompt                 one row for each prompt version
  negwb prompts --by prompt,type --json | jq '.[] | {prompt, type, share: .audit.share}'

\b
accepted %: of the audit labels, which are blind answers of people on a random sample (negwb curate --stream audit).
Reviewed decisions stand apart: hard cases may come first. unsure and an edit count as not accepted.
per accepted: all requests of the prompt version, over the candidates that people accept by the audit labels; money
needs price_in and price_out per million tokens in [engines.NAME] of negwb.toml.
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(rich_markup_mode=None, context_settings=_HELP)
    group.callback(invoke_without_command=True, epilog=_EPILOG)(prompts)
    app.add_typer(group, name="prompts")


def prompts(
    context: typer.Context,
    by: Annotated[
        str, typer.Option(metavar="NAME,...", help="Group by: proposer, prompt, cue, type, pipeline, position.")
    ] = _BY,
    fold_below: Annotated[
        int, typer.Option(min=0, metavar="N", help="Fold groups with fewer audit labels into one row.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Show which share of the candidates people accept, by prompt, and the cost of an accepted one."""
    if context.invoked_subcommand is not None:
        return
    from curation_db.storage.store import open_read_only
    from workbench.console.tables import show
    from workbench.errors import NothingToDo
    from workbench.reports import prompt_report as report
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.settings import read_settings

    dimensions = _dimensions(by)
    workspace = find_workspace(context.obj)
    prices = report.prices_of(read_settings(workspace.settings).generate.engines)
    with open_read_only(workspace.database) as store, store.read() as connection:
        result = report.prompt_report(connection, dimensions, prices, fold_below=fold_below)
    if not result.rows:
        raise NothingToDo("there are no candidates yet", hint="see: negwb generate --help")
    if as_json:
        typer.echo(json.dumps(report.report_json(result)))
    else:
        show([report.listing(result)])
    lines = report.notes(result)
    if report.without_labels(result):
        lines.append("nobody has decided about these candidates yet: negwb curate --stream audit")
    for line in lines:
        typer.echo(f"negwb: {line}", err=True)


def _dimensions(by: str) -> list[Dimension]:
    from curation_db.language.sanitize import display_text
    from curation_db.stats.prompt_acceptance import Dimension
    from workbench.errors import UsageError

    names = [name.strip() for name in by.split(",") if name.strip()]
    known = {str(each): each for each in Dimension}
    for name in names:
        if name not in known:
            raise UsageError(f"--by: there is no {display_text(name)!r}", hint=f"use some of: {', '.join(known)}")
    if not names or len(set(names)) != len(names):
        raise UsageError("--by: name each dimension once", hint=f"use some of: {', '.join(known)}")
    return [known[name] for name in names]
