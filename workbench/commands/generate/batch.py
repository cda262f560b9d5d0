"""`negwb generate batch`: submit batch files to a server with OpenAI's batch API, follow them, read their answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_HELP = {"help_option_names": ["-h", "--help"]}
_GROUP = """\b
Examples:
  negwb generate --emit-requests requests.jsonl     write the next requests
  negwb generate batch submit requests.jsonl        upload the file and create its batch
  negwb generate batch poll --wait                  until all batches have ended
  negwb generate batch fetch                        store the answers; then --emit-requests for the next requests

\b
Every step can be repeated after Ctrl-C or a kill: no request is submitted twice. The state of the batches is in the
folder batches of the workspace. For servers without this API (vllm run-batch) see: negwb generate --ingest-responses.
"""
_SUBMIT = """\b
Examples:
  negwb generate batch submit requests.jsonl
  negwb generate batch submit requests-*.jsonl --max-cost 20
  negwb generate batch submit requests.jsonl --engine openai:https://api.openai.com/v1 --window 24h
"""
_POLL = """\b
Examples:
  negwb generate batch poll
  negwb generate batch poll --wait --every 60
  negwb generate batch poll requests.jsonl --json
"""
_FETCH = """\b
Examples:
  negwb generate batch fetch
  negwb generate batch fetch requests.jsonl --json
"""
_CANCEL = """\b
Examples:
  negwb generate batch cancel requests.jsonl        then: negwb generate batch fetch, for what is answered by then
"""

Engine = Annotated[
    str,
    typer.Option(metavar="ENGINE", help="Server: an engine, or openai:URL.", show_default="the file's engine"),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print no progress.")]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FILE]...", help="Submitted files or batch IDs.", show_default="all"),
]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(
        rich_markup_mode=None,
        context_settings=_HELP,
        no_args_is_help=True,
        help="Submit batch files to a server, follow them and read their answers.",
        epilog=_GROUP,
    )
    commands.command(epilog=_SUBMIT)(submit)
    commands.command(epilog=_POLL)(poll)
    commands.command(epilog=_FETCH)(fetch)
    commands.command(epilog=_CANCEL)(cancel)
    group.add_typer(commands, name="batch")


def submit(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of --emit-requests.")],
    engine: Engine = "",
    window: Annotated[str, typer.Option(metavar="TIME", help="Time that the server has.")] = "24h",
    max_requests: Annotated[int | None, typer.Option(min=1, help="Submit at most this number of requests.")] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0.0, help="Submit requests that cost at most this, by an upper estimate.")
    ] = None,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file.")] = False,
) -> None:
    """Upload batch files and create a batch for each.

    A file is never submitted twice, also under another name or after a kill.
    """
    from workbench.commands.generate.batch_steps import submit_files  # imports httpx

    caps = {"max_requests": max_requests, "max_cost": max_cost}
    submit_files(context.obj, files, engine=engine, window=window, caps=caps, quiet=quiet, as_json=as_json)


def poll(
    context: typer.Context,
    names: Names = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all batches have ended.")] = False,
    every: Annotated[float, typer.Option(min=1.0, help="Seconds between two polls of --wait.")] = 30.0,
    engine: Engine = "",
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per batch.")] = False,
) -> None:
    """List the batches with their progress on the server."""
    from workbench.commands.generate.batch_steps import poll_batches  # imports httpx

    poll_batches(context.obj, names or [], wait=every if wait else None, engine=engine, quiet=quiet, as_json=as_json)


def fetch(
    context: typer.Context,
    names: Names = None,
    engine: Engine = "",
    any_model: Annotated[
        bool, typer.Option("--any-model", help="Also store answers that name another model than the request.")
    ] = False,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Give up answers that the server does not send any more.")
    ] = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per batch.")] = False,
) -> None:
    """Store the answers of the batches that have ended.

    Requests without an answer are in the next file of --emit-requests. The exit code is 1 if there are some.
    """
    from workbench.commands.generate.batch_steps import fetch_batches  # imports httpx

    fetch_batches(
        context.obj,
        names or [],
        engine=engine,
        any_model=any_model,
        incomplete=incomplete,
        quiet=quiet,
        as_json=as_json,
    )


def cancel(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="FILE...", help="Submitted files or batch IDs.")],
    engine: Engine = "",
) -> None:
    """Cancel batches.

    What is answered by then can be fetched.
    """
    from workbench.commands.generate.batch_steps import cancel_batches  # imports httpx

    cancel_batches(context.obj, names, engine=engine)
