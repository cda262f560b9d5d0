"""`negwb curate`: a person, a keyboard, one card at a time."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

from curation_db.enums import PersonRole, Stream
from workbench.console import interruption
from workbench.console.terminal_check import at_a_terminal, doubt_about_characters
from workbench.errors import ExitCode, UsageError
from workbench.workspace.choices import ImageMode

if TYPE_CHECKING:
    from workbench.annotation.answer_counts import Refused
    from workbench.annotation.session import AnnotationSession
    from workbench.tui.screens.base.navigation import MainView
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings import CurateSettings, Settings

_EPILOG = """\b
Examples:
  negwb curate                              as yourself, review and audit mixed
  negwb curate --annotator ana --blind      what the judges say stays hidden
  negwb curate --stream audit --reveal      the audit alone; the judges' word once you have given yours
  negwb curate --role adjudicator           may take back and settle what others did
  negwb curate --plain                      lines instead of a screen: for screen readers and pipes
"""
_MIN_SIDE, _MAX_SIDE = 1024, 2048
"""Pixels a picture is decoded to: what a large pane of a terminal with graphics shows."""
_PLAIN_BOX = (16, 16)
"""Without a screen nobody sees the picture: decoding only tells whether it is sound, and its size."""

_ASCII_SIGNS = str.maketrans({"«": "[", "»": "]", "‹": "(", "›": ")", "…": "...", "·": "-", "—": "-", "–": "-"})
"""Signs of ours for a terminal that lacks them; other characters become question marks."""


class ServedStream(StrEnum):
    """The values of --stream."""

    BOTH = "both"
    REVIEW = Stream.REVIEW
    AUDIT = Stream.AUDIT


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(curate)


def curate(
    context: typer.Context,
    annotator: Annotated[
        str | None, typer.Option("--annotator", "-a", help="Who decides [default: your login name].")
    ] = None,
    role: Annotated[
        PersonRole | None, typer.Option(help="Your role from now on.", show_default="as before, at first annotator")
    ] = None,
    stream: Annotated[
        ServedStream, typer.Option(help="Serve the review, the blind audit, or both mixed.")
    ] = ServedStream.BOTH,
    blind: Annotated[bool, typer.Option("--blind", help="Never show what the judges say.")] = False,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Once an audit card is decided, show what the judges say about it.")
    ] = False,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="What comes first: conflict, threshold, lint, rare-cue, rare-concept, random, oldest, or a sum such "
            "as 0.7*conflict+0.3*lint.",
            show_default="as in negwb.toml",
        ),
    ] = None,
    images: Annotated[ImageMode | None, typer.Option(help="How pictures are drawn; auto asks the terminal.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="One card, one prompt, one answer per line; no screen is drawn.")
    ] = False,
) -> None:
    """Decide about negated captions: a accepts, x rejects, z takes back, ? shows every key.

    Each key is on the disk before the next card shows, so you can stop at any moment and go on where you left.
    Defaults come from [curate] in negwb.toml.
    """
    from workbench.workspace.layout import find_workspace

    if blind and reveal:
        raise UsageError("--blind hides what --reveal would show", hint="take one of the two")
    _check_order(order)
    how = CurateOptions(
        role=role, only=None if stream is ServedStream.BOTH else stream, blind=blind or None, reveal=reveal, order=order
    )
    workspace = find_workspace(context.obj)
    raise typer.Exit(
        run_plain(workspace, annotator, how) if plain else run_curate(workspace, annotator, how, images=images)
    )


def _check_order(order: str | None) -> None:
    from curation_db.queue.ordering import Policy

    try:
        Policy.parse(order if order is not None else "oldest")
    except ValueError as error:
        raise UsageError(str(error), hint="see: negwb curate --help") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateOptions:
    """How a person wants to be served; what is None is as negwb.toml says."""

    role: str | None = None
    """annotator or adjudicator; None: as before."""
    only: str | None = None
    """review or audit; None: both."""
    blind: bool | None = None
    reveal: bool = False
    order: str | None = None


def run_curate(
    workspace: Workspace,
    annotator: str | None = None,
    how: CurateOptions | None = None,
    *,
    images: str | None = None,
    banner: str | None = None,
    start: MainView | None = None,
    view: str = "",
) -> int:
    """Sit down at the workspace's queue until the person leaves; returns the exit code.

    Args:
        workspace: Whose queue.
        annotator: Who decides; the login name unless told.
        how: Role, stream, order and what is hidden.
        images: How pictures are drawn; as negwb.toml says unless told.
        banner: A line below the status line.
        start: A room to begin in, over the card; no card is dealt before the person leaves the rooms.
        view: What the browse room lists first.

    Raises:
        UsageError: no terminal, settings that are off, or a room that this person may not enter.
        NothingToDo: the workspace has no candidates.
    """
    _require_terminal()
    doubt = doubt_about_characters("negwb curate --plain")
    from workbench.workspace.settings import read_settings

    settings = read_settings(workspace.settings)
    _check_theme(settings.curate, workspace)
    with _session(workspace, settings, annotator_name(annotator), how or CurateOptions()) as session:
        try:
            _check_role(session, start)
            session.start(prefetch=start is None)
            code = _run_app(
                session, workspace, settings.curate, images=images, banner=banner, doubt=doubt, start=start, view=view
            )
        finally:
            with interruption.shielded():
                session.leave()
        return _end_session(session, code)


def run_plain(workspace: Workspace, annotator: str | None = None, how: CurateOptions | None = None) -> int:
    """Sit down and decide by lines, from a terminal of any kind or a pipe; returns the exit code.

    Raises:
        UsageError: settings that are off.
        NothingToDo: the workspace has no candidates.
    """
    from workbench.annotation.plain.loop import PlainLoop
    from workbench.workspace.settings import read_settings

    settings = read_settings(workspace.settings)
    name = annotator_name(annotator)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of few letters shows "?" for the others
    with _session(workspace, settings, name, how or CurateOptions(), box=_PLAIN_BOX) as session:
        code = ExitCode.OK
        try:
            if warning := _overlap_warning(session, settings.curate):
                typer.echo(f"negwb: {warning}", err=True)
            session.start()
            interactive = sys.stdin is not None and sys.stdin.isatty()
            session.answers.replaceable = interactive
            PlainLoop(session, _read_answer, _write_line, interactive=interactive, drop_early=_drop_typed_ahead).run()
        except KeyboardInterrupt:
            code = ExitCode.INTERRUPTED
            typer.echo("")
        finally:
            with interruption.shielded():
                session.leave()
        return _end_session(session, code)


def _write_line(line: str, end: str = "\n") -> None:
    """Write a line in the encoding of stdout. Not by typer.echo, which writes UTF-8 to a stream of ASCII."""
    try:
        line.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        line = line.translate(_ASCII_SIGNS)
    sys.stdout.write(line + end)
    sys.stdout.flush()


def _read_answer(prompt: str) -> str | None:
    """The next line of stdin; None: there is none."""
    _write_line(prompt, end="")
    line = sys.stdin.readline() if sys.stdin is not None else ""
    if not line:
        _write_line("")  # the prompt's line ends
        return None
    if not sys.stdin.isatty():
        _write_line("")  # each answer starts on a line of its own
    return line


def _drop_typed_ahead() -> bool:
    """Drop the lines that a terminal holds for us; whether there were any. A pipe's lines stay: they are a script's."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    try:
        import select
        import termios  # not on Windows
    except ImportError:
        return False
    typed = bool(select.select([sys.stdin], [], [], 0)[0])
    if typed:
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    return typed


def _require_terminal() -> None:
    if not at_a_terminal():
        raise UsageError(
            "curate needs a terminal, at both ends",
            hint="without one: negwb curate --plain reads lines, negwb demo --auto runs by itself",
        )


def annotator_name(annotator: str | None) -> str:
    """The name under which a person works; None: that of the login.

    Raises:
        UsageError: no annotator can have the name, or the login has none.
    """
    from curation_db.errors import UnusableName
    from curation_db.events.annotator_names import checked_name

    try:
        return checked_name(_login_name() if annotator is None else annotator)
    except UnusableName as error:
        raise UsageError(error.message, hint=error.hint) from error


def _check_theme(settings: CurateSettings, workspace: Workspace) -> None:
    from workbench.workspace.settings import OWN_THEMES

    if settings.theme not in OWN_THEMES:
        from workbench.tui.themes import check_theme  # 0.2 s that negwb's own themes do not cost

        check_theme(settings.theme, workspace.settings)


def _overlap_warning(session: AnnotationSession, settings: CurateSettings) -> str:
    from workbench.reports.overlap_check import overlap_mismatch

    with session.store.read() as connection:
        return overlap_mismatch(connection, settings.overlap).warning


def _login_name() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as error:  # a container without a user database
        raise UsageError("this account has no login name", hint="say who decides: --annotator NAME") from error


def _session(
    workspace: Workspace, settings: Settings, name: str, how: CurateOptions, *, box: tuple[int, int] | None = None
) -> AnnotationSession:
    """The person's session; once started it prepares its first card while the screens are being imported."""
    from curation_db.enums import Role, Stream
    from curation_db.errors import RetiredAnnotator
    from workbench.annotation.open import open_session, session_settings  # 0.2 s

    serving = session_settings(
        settings,
        order=how.order,
        only=Stream(how.only) if how.only else None,
        blind=how.blind,
        reveal=how.reveal,
    )
    role = Role(how.role) if how.role else None
    try:
        return open_session(workspace, name, role=role, settings=settings, serving=serving, box=box or _decode_box())
    except RetiredAnnotator as error:
        raise UsageError(error.message, hint=error.hint) from error


def _decode_box() -> tuple[int, int]:
    """Half of this terminal in its own pixels, within bounds: on a fine screen a small picture would be blurred."""
    import shutil

    from workbench.images.terminal_graphics import cell_pixels

    (columns, rows), (width, height) = shutil.get_terminal_size(), cell_pixels()
    side = max(_MIN_SIDE, min(_MAX_SIDE, max(columns * width // 2, rows * height)))
    return side, side


def _check_role(session: AnnotationSession, start: MainView | None) -> None:
    from curation_db.enums import Role
    from workbench.tui.screens.base.navigation import SIT_DOWN_AS_ONE, MainView

    if start is MainView.ADJUDICATE and session.actor.role is not Role.ADJUDICATOR:
        raise UsageError("only an adjudicator settles what others said", hint=SIT_DOWN_AS_ONE)


def _run_app(
    session: AnnotationSession,
    workspace: Workspace,
    told: CurateSettings,
    *,
    images: str | None,
    banner: str | None,
    doubt: str,
    start: MainView | None,
    view: str,
) -> int:
    from workbench.console.terminal_env import advice, detect_terminal
    from workbench.images.terminal_graphics import choose_protocol
    from workbench.tui.app import NegwbApp  # 0.25 s
    from workbench.workspace.keymap import ActionMap

    warning = _overlap_warning(session, told)
    wanted = images or told.images
    protocol = choose_protocol(wanted)
    app = NegwbApp(
        session,
        actions=ActionMap(told.keys),
        theme=told.theme,
        protocol=protocol,
        notice=" · ".join(filter(None, (doubt, advice(wanted, protocol, detect_terminal(os.environ)), warning))),
        banner=banner,
        viewer=told.viewer,
        workspace=workspace,
        start=start,
        view=view,
    )
    return app.run_to_end()


def _end_session(session: AnnotationSession, code: int) -> int:
    """Say in a line what was done; returns the exit code, which is `code` unless answers are not stored.

    Raises:
        RecordReplaced: the record was replaced, moved or deleted during the session.
    """
    refused = session.answers.refused
    if session.replaced is not None:
        _print_stored("", refused)
        raise session.replaced
    _print_stored(_session_summary(session), refused)
    return int(code or (ExitCode.DATABASE if refused.lost else ExitCode.OK))


def _print_stored(done: str, refused: Refused) -> None:
    sentences = [*([done] if done else []), *(refused.words or (["All of it is kept"] if done else []))]
    if sentences:
        typer.echo(f"negwb: {'. '.join(sentences)}.", err=True)
    if refused.lost:
        typer.echo("       find out why: negwb doctor; then give these answers again: negwb curate", err=True)


def _session_summary(session: AnnotationSession) -> str:
    """What this session decided and how much of the work is done; empty where it cannot be read."""
    from curation_db.errors import RecordError
    from workbench.annotation.wording import session_counts

    try:
        summary = session.summary()
    except RecordError:
        return ""
    told = ", ".join(session_counts(summary.sitting)) or "nothing decided"
    progress = session.progress
    return f"{told}; {progress.decided:,} of {progress.total:,} done"
