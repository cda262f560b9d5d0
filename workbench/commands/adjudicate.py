"""`negwb adjudicate`: what people disagree on, settled by one who may."""

from __future__ import annotations

from typing import Annotated

import typer

from curation_db.enums import PersonRole
from workbench.commands.curate import CurateOptions, run_curate
from workbench.workspace.choices import ImageMode

_EPILOG = """\b
Examples:
  negwb adjudicate --role adjudicator       the first time; the record remembers the role
  negwb adjudicate -a dan                   as dan
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(adjudicate)


def adjudicate(
    context: typer.Context,
    annotator: Annotated[
        str | None, typer.Option("--annotator", "-a", help="Who decides [default: your login name].")
    ] = None,
    role: Annotated[
        PersonRole | None, typer.Option(help="Your role from now on.", show_default="as before, at first annotator")
    ] = None,
    images: Annotated[ImageMode | None, typer.Option(help="How pictures are drawn; auto asks the terminal.")] = None,
) -> None:
    """Settle what people disagree on, the lowest agreement first: names and judges stay hidden until you have decided.

    It is a room of negwb curate (the key d there), and needs the role of an adjudicator.
    """
    from workbench.tui.screens.base.navigation import MainView
    from workbench.workspace.layout import find_workspace

    how = CurateOptions(role=role)
    raise typer.Exit(run_curate(find_workspace(context.obj), annotator, how, images=images, start=MainView.ADJUDICATE))
