"""`negwb apply`: applications of CLIP with the text encoder of a run."""

from __future__ import annotations

import typer

_EPILOG = """\b
Examples:
  negwb apply prompts                                    the prompts and questions of the set that ships with negwb
  negwb apply t2i --pipeline ../stable-diffusion-v1-4 --device cuda --judge llava
  negwb apply ris phrasecut --model run-001              segment what phrases describe, negated and other ones
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from workbench.commands.apply import prompts, ris, t2i

    group = typer.Typer(
        name="apply",
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog=_EPILOG,
        help="Replace the text encoder of another model by that of a run, and measure what changes.",
    )
    group.command(epilog=prompts.EPILOG)(prompts.prompts)
    group.command(epilog=t2i.EPILOG)(t2i.t2i)
    group.command(epilog=ris.EPILOG)(ris.ris)
    app.add_typer(group)
