"""`negwb bench`: list benchmarks, download or make them, evaluate models on them."""

from __future__ import annotations

import typer

from workbench.commands.bench import fetch, listing, make, review, run

_EPILOG = """\b
Examples:
  negwb bench list
  negwb bench fetch negrefcocog
  negwb bench run negrefcocog --model base --model run-001
  negwb bench review simpleneg --sample 200              people review a sample of a judge's answers
  negwb bench make quiz --dry-run
"""

bench = typer.Typer(
    name="bench",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=_EPILOG,
    help="List, fetch, make and run benchmarks. Files are in benchmarks/ of the workspace, results in results/.",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    bench.command(name="list", epilog=listing.EPILOG)(listing.list_command)
    bench.command(epilog=fetch.EPILOG)(fetch.fetch)
    bench.command(epilog=make.EPILOG)(make.make)
    bench.command(epilog=run.EPILOG)(run.run)
    bench.command(epilog=review.EPILOG)(review.review)
    app.add_typer(bench)
