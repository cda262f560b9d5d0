"""`negwb export-card`: the dataset card of a frozen export, for the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_EPILOG = """\b
Examples:
  negwb export-card set-001 | less
  negwb export-card set-001 --out hub/README.md

\b
Publish the card in one folder with the files of the export. Add license and intended use by hand.
"""


def register(app: typer.Typer) -> None:
    app.command("export-card", epilog=_EPILOG)(export_card)


def export_card(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Frozen export: its name in exports/.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a file, such as README.md.", show_default="print")
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Write the names of annotators instead of pseudonyms.")
    ] = False,
) -> None:
    """Write the dataset card of a frozen export: balance, agreement, judges, policies, limits, hashes, guidelines.

    Every figure is as of the event of the export. Equal records and guidelines give equal bytes.
    """
    from workbench.commands.export.description import read_summary, write_description
    from workbench.reports.exports.card import dataset_card
    from workbench.workspace.guidelines import read_guidelines
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    summary = read_summary(workspace, name, names)
    guidelines = read_guidelines(workspace)
    write_description(dataset_card(summary, guidelines.text, own_guidelines=guidelines.own), out)
