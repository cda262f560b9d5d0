"""`negwb curate`: a person, a keyboard, one card at a time."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import ExitCode, NothingToDo, UsageError

if TYPE_CHECKING:
    from curation_db.store import Store
    from curation_db.words import Kind
    from workbench.paths import Workspace
    from workbench.settings import CurateSettings, Settings
    from workbench.tui.desk import Desk

_EPILOG = "Example:  negwb curate --annotator ana   |   negwb -w my-workspace curate --blind --images none"
_BOX = (1024, 1024)
"""Pixels a picture is decoded to: what a large pane of a terminal with graphics shows."""


class Order(StrEnum):
    """Queue orders, as the command line names them."""

    CONFLICT = "conflict"
    OLDEST = "oldest"


class Images(StrEnum):
    """Ways to draw pictures, as the command line names them."""

    AUTO = "auto"
    KITTY = "kitty"
    SIXEL = "sixel"
    HALFCELL = "halfcell"
    NONE = "none"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(curate)


def curate(
    context: typer.Context,
    annotator: Annotated[
        str | None, typer.Option("--annotator", "-a", help="Who decides [default: your login name].")
    ] = None,
    blind: Annotated[bool, typer.Option("--blind", help="Never show what the judges say.")] = False,
    order: Annotated[
        Order | None, typer.Option(help="What comes first: where the judges disagree, or the oldest.")
    ] = None,
    images: Annotated[Images | None, typer.Option(help="How pictures are drawn; auto asks the terminal.")] = None,
) -> None:
    """Decide about negated captions: a accepts, x rejects, z takes back, ? shows every key.

    Each key is on the disk before the next card shows, so you can stop at any moment and go on where you left.
    Defaults come from [curate] in negwb.toml.
    """
    from workbench.paths import find_workspace  # noqa: PLC0415

    workspace = find_workspace(context.obj)
    raise typer.Exit(run_curate(workspace, annotator, blind=blind or None, order=order, images=images))


def run_curate(
    workspace: Workspace,
    annotator: str | None = None,
    *,
    blind: bool | None = None,
    order: str | None = None,
    images: str | None = None,
    banner: str | None = None,
) -> int:
    """Sit down at the workspace's queue until the person leaves; returns the exit code.

    Args:
        workspace: Whose queue.
        annotator: Who decides; the login name unless told.
        blind: Hide what the judges say; as negwb.toml says unless told.
        order: conflict or oldest; as negwb.toml says unless told.
        images: How pictures are drawn; as negwb.toml says unless told.
        banner: A line below the status line.

    Raises:
        UsageError: no terminal, or settings that are off.
        NothingToDo: the workspace has no candidates.
    """
    _need_terminal()
    from curation_db.store import open_store  # noqa: PLC0415 -- 0.2 s
    from workbench.settings import read_settings  # noqa: PLC0415

    settings = read_settings(workspace.settings)
    with open_store(workspace.database) as store:
        desk = _sit_down(store, workspace, settings, annotator or _login_name(), blind=blind, order=order)
        try:
            code = _run_app(desk, settings.curate, images=images, banner=banner)
        finally:
            desk.close()
        _say_goodbye(desk)
    return code


def _need_terminal() -> None:
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError(
            "curate needs a terminal, at both ends",
            hint="without one: negwb demo --auto runs by itself, negwb export freezes what was decided",
        )


def _login_name() -> str:
    import getpass  # noqa: PLC0415

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as error:  # a container without a user database
        raise UsageError("this account has no login name", hint="say who decides: --annotator NAME") from error


def _sit_down(
    store: Store, workspace: Workspace, settings: Settings, name: str, *, blind: bool | None, order: str | None
) -> Desk:
    """A desk that is already preparing its first card while the screens are being imported."""
    from curation_db.people import begin_session  # noqa: PLC0415
    from curation_db.text import display_text  # noqa: PLC0415
    from workbench import version  # noqa: PLC0415
    from workbench.pictures import PictureFolders  # noqa: PLC0415
    from workbench.tui import reads  # noqa: PLC0415
    from workbench.tui.desk import Desk  # noqa: PLC0415
    from workbench.tui.pictures import ThumbnailCache  # noqa: PLC0415
    from workbench.tui.sitting import DeskSettings, Pictures  # noqa: PLC0415

    with store.read() as connection:
        if not reads.anything(connection):
            raise NothingToDo("there is nothing to decide about yet", hint="bring captions in with: negwb import")
    person = display_text(name, limit=60)
    if not person:
        raise UsageError("an annotator needs a name", hint="say who decides: --annotator NAME")
    told = settings.curate
    folders = PictureFolders(workspace.root, settings.pictures)
    desk = Desk(
        store,
        begin_session(store, person, version=version()),
        Pictures(folders.locate, ThumbnailCache(_BOX).get),
        DeskSettings(
            ordering=order or told.order,
            audit_share=told.audit_share,
            blind=told.blind if blind is None else blind,
        ),
    )
    desk.start()
    return desk


def _run_app(desk: Desk, told: CurateSettings, *, images: str | None, banner: str | None) -> int:
    from workbench.tui.actions import ActionMap  # noqa: PLC0415
    from workbench.tui.app import NegwbApp  # noqa: PLC0415 -- 0.25 s
    from workbench.tui.terminal import choose_protocol  # noqa: PLC0415
    from workbench.tui.themes import known  # noqa: PLC0415

    if told.theme not in known():
        raise UsageError(f"[curate] theme = {told.theme!r}", hint=f"one of: {', '.join(known())}")
    app = NegwbApp(
        desk,
        actions=ActionMap(told.keys),
        theme=told.theme,
        protocol=choose_protocol(images or told.images),
        banner=banner,
    )
    app.run()
    return int(app.return_code or ExitCode.OK)


def _say_goodbye(desk: Desk) -> None:
    """What was done, in a line; everything is on the disk already."""
    from curation_db.errors import RecordError  # noqa: PLC0415

    try:
        summary = desk.summary()
    except RecordError:
        return
    counts: dict[Kind, int] = summary.sitting
    told = ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "nothing decided"
    progress = desk.progress
    typer.echo(f"negwb: {told}; {progress.decided:,} of {progress.total:,} done. All of it is kept.", err=True)
