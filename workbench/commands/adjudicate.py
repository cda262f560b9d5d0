"""`negwb adjudicate`: an adjudicator decides the candidates on which annotators disagree."""

from __future__ import annotations

from typing import Annotated

import typer

from curation_db.enums import PersonRole
from workbench.commands.curate import CurateOptions, run_curate
from workbench.workspace.choices import ImageMode

_EPILOG = """\b
Examples:
  negwb adjudicate --role adjudicator       first use; the record stores the role
  negwb adjudicate -a dan                   decide as dan
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(adjudicate)


def adjudicate(
    context: typer.Context,
    annotator: Annotated[
        str | None, typer.Option("--annotator", "-a", help="Name of the annotator [default: your login name].")
    ] = None,
    role: Annotated[
        PersonRole | None, typer.Option(help="Set your role.", show_default="the stored role; annotator at first")
    ] = None,
    images: Annotated[
        ImageMode | None, typer.Option(help="How to draw images; auto detects what the terminal supports.")
    ] = None,
) -> None:
    """Decide the candidates on which annotators disagree, lowest agreement first.

    Annotator names and judge verdicts stay hidden until you decide. The key d in negwb curate opens the same screen.
    Requires the role adjudicator.
    """
    from workbench.tui.screens.base.navigation import MainView
    from workbench.workspace.layout import find_workspace

    options = CurateOptions(role=role)
    raise typer.Exit(
        run_curate(find_workspace(context.obj), annotator, options, images=images, start=MainView.ADJUDICATE)
    )
