"""`negwb serve`: the curate app in a browser."""

from __future__ import annotations

import errno
import shlex
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import UsageError
from workbench.installation import install_hint

if TYPE_CHECKING:
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb serve                                  at port 8000, for this machine alone
  negwb serve --annotator ana --port 8080
  ssh -L 8000:127.0.0.1:8000 lab negwb -w set serve      from elsewhere, through ssh

\b
The printed address lets one browser in, once. Then the address for a further browser is printed.
"""
_START = "import sys; from workbench.cli import main; sys.exit(main())"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(serve)


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 8000,
    annotator: Annotated[
        str | None, typer.Option("--annotator", "-a", help="Who decides there [default: your login name].")
    ] = None,
    blind: Annotated[bool, typer.Option("--blind", help="Never show what the judges say.")] = False,
    public_anyway: Annotated[
        bool,
        typer.Option("--public-anyway", help="Listen to other machines. The connection is not encrypted."),
    ] = False,
    pages: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Pages at a time; each is a process of its own.")
    ] = 4,
) -> None:
    """Curate in a browser: the same app, keys and record.

    Every page is a sitting of the same person. Pictures are drawn in half blocks there: a page has no other way.
    The first click in a page only gives it the focus.
    """
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    if find_spec("textual_serve") is None:
        raise UsageError("serve needs textual-serve", hint=install_hint("serve"))
    if annotator is not None:
        from workbench.commands.curate import annotator_name

        annotator_name(annotator)
    from workbench.web_server import is_loopback  # 0.3 s: aiohttp

    if not is_loopback(host) and not public_anyway:
        raise UsageError(
            f"{host} can be reached from other machines, and the connection is not encrypted",
            hint="use ssh -L instead, or give --public-anyway in a network that you trust",
        )
    _run(_command(workspace, annotator, blind=blind), host, port, pages)


def _command(workspace: Workspace, annotator: str | None, *, blind: bool) -> str:
    """What each page runs, for a shell."""
    words = [sys.executable, "-c", _START, "-w", str(workspace.root), "curate", "--images", "halfcell"]
    words += [f"--annotator={annotator}"] if annotator is not None else []
    return shlex.join([*words, *(["--blind"] if blind else [])])


def _run(command: str, host: str, port: int, pages: int) -> None:
    from workbench.web_server import OwnPagesServer, is_loopback

    def say() -> None:
        typer.echo(f"negwb: curate at {server.entrance} (ctrl-c ends it); pictures are half blocks there", err=True)
        if not is_loopback(host):
            typer.echo("negwb: WARNING: not encrypted. Who can read the network traffic can decide, too", err=True)

    def say_next() -> None:
        typer.echo(f"negwb: a browser was let in; the address for another one: {server.entrance}", err=True)

    server = OwnPagesServer(command, host=host, port=port, pages=pages, ready=say, admitted=say_next)
    try:
        server.serve()
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            raise
        raise UsageError(
            f"cannot listen at {host}, port {port}: {error.strerror}", hint="try another --port"
        ) from error
