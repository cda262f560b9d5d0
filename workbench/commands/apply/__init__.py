"""`negwb apply`: applications of CLIP with the text encoder of a run."""

from __future__ import annotations

import typer

_EPILOG = """\b
Examples:
  negwb apply prompts                                    the prompts and questions of the set that ships with negwb
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from workbench.commands.apply import t2i

    group = typer.Typer(
        name="apply",
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog=_EPILOG,
        help="Replace the text encoder of another model by that of a run, and measure what changes.",
    )
    t2i.register(group)
    app.add_typer(group)
