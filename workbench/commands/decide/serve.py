"""`negwb serve`: run the curate app in a browser."""

from __future__ import annotations

import errno
import shlex
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.commands.options import AnnotatorOption
from workbench.errors import UsageError
from workbench.installation import install_hint

if TYPE_CHECKING:
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb serve                                  port 8000, reachable from this machine only
  negwb serve --annotator ana --port 8080
  ssh -L 8000:127.0.0.1:8000 HOST negwb -w set serve     from another machine, through ssh

\b
The printed address admits one browser, once. Then the address for the next browser is printed.
"""
_START = "import sys; from workbench.cli import main; sys.exit(main())"


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(serve)


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    annotator: AnnotatorOption = None,
    blind: Annotated[bool, typer.Option("--blind", help="Never show the judges' verdicts.")] = False,
    public_anyway: Annotated[
        bool,
        typer.Option("--public-anyway", help="Accept other machines. The connection is not encrypted."),
    ] = False,
    allow_commands: Annotated[
        bool,
        typer.Option("--allow-commands", help="Let pages run [commands] of negwb.toml on this machine."),
    ] = False,
    pages: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Maximum number of open pages; each is a process.")
    ] = 4,
) -> None:
    """Curate in a browser: the same app, keys and record.

    Every page is a session of the same annotator. A page can draw images only as half blocks. The first click in a
    page only gives it the focus.
    """
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    if find_spec("textual_serve") is None:
        raise UsageError("serve needs textual-serve", hint=install_hint("serve"))
    if annotator is not None:
        from workbench.commands.decide.curate import annotator_name

        annotator_name(annotator)
    from workbench.web_server import is_loopback  # imports aiohttp: 0.3 s

    if not is_loopback(host) and not public_anyway:
        raise UsageError(
            f"{host} can be reached from other machines, and the connection is not encrypted",
            hint="use ssh -L instead, or add --public-anyway in a trusted network",
        )
    _run(_command(workspace, annotator, blind=blind, allow_commands=allow_commands), host, port, pages)


def _command(workspace: Workspace, annotator: str | None, *, blind: bool, allow_commands: bool = False) -> str:
    """Return the shell command that each page runs."""
    arguments = [sys.executable, "-c", _START, "-w", str(workspace.root), "curate", "--images", "halfcell"]
    arguments += [f"--annotator={annotator}"] if annotator is not None else []
    arguments += ["--allow-commands"] if allow_commands else []
    return shlex.join([*arguments, *(["--blind"] if blind else [])])


def _run(command: str, host: str, port: int, pages: int) -> None:
    from workbench.web_server import OwnPagesServer, is_loopback

    def print_address() -> None:
        typer.echo(f"negwb: curate at {server.entrance} (ctrl-c stops it); images are drawn as half blocks", err=True)
        if not is_loopback(host):
            typer.echo(
                "negwb: WARNING: not encrypted. Anyone who can read the network traffic can also decide", err=True
            )

    def print_next_address() -> None:
        typer.echo(f"negwb: a browser was admitted; the address for the next one: {server.entrance}", err=True)

    server = OwnPagesServer(
        command, host=host, port=port, pages=pages, ready=print_address, admitted=print_next_address
    )
    try:
        server.serve()
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            raise
        raise UsageError(
            f"cannot listen on {host}, port {port}: {error.strerror}", hint="choose another --port"
        ) from error
