"""`negwb adjudicate`: an adjudicator decides the candidates on which annotators disagree."""

from __future__ import annotations

import typer

from workbench.commands.decide.curate import CurateOptions, run_curate
from workbench.commands.options import AnnotatorOption, ImagesOption, RoleOption

_EPILOG = """\b
Examples:
  negwb adjudicate --role adjudicator       first use; the record stores the role
  negwb adjudicate -a dan                   decide as dan
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(adjudicate)


def adjudicate(
    context: typer.Context,
    annotator: AnnotatorOption = None,
    role: RoleOption = None,
    images: ImagesOption = None,
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
