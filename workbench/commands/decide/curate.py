"""`negwb curate`: decide candidates with the keyboard, one card at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

from curation_db.enums import Stream
from workbench.commands.options import AnnotatorOption, ImagesOption, ReadonlyOption, RoleOption
from workbench.console import interruption
from workbench.console.terminal_check import at_a_terminal, doubt_about_characters, in_a_browser
from workbench.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from workbench.annotation.answer_counts import RefusedAnswers
    from workbench.annotation.session import AnnotationSession
    from workbench.tui.screens.base.navigation import MainView
    from workbench.workspace.keymap import ActionMap
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings.settings import CurateSettings, Settings

_EPILOG = """\b
Examples:
  negwb curate                              under your login name; review and audit mixed
  negwb curate --annotator ana --blind      hide the judges' verdicts
  negwb curate --stream audit --reveal      only the audit; show the verdicts after each decision
  negwb curate --role adjudicator           may undo and settle decisions of others
  negwb curate --goal 200                   show a bar until you have decided 200 cards
  negwb curate --order mistaken             look again at accepted pairs that a model doubts (negwb mistaken)
  negwb curate --plain                      text lines instead of a screen: for screen readers and pipes
"""
_MIN_SIDE, _MAX_SIDE = 1024, 2048
"""Bounds of the side, in pixels, that an image is decoded to; a large pane of a terminal with graphics shows this."""
_PLAIN_BOX = (16, 16)
"""Decoded size in plain mode, which shows no image: decoding only checks the file and reads its size."""

_ASCII_SIGNS = str.maketrans({"…": "...", "·": "-", "—": "-", "–": "-"})
"""Replacements of our non-ASCII characters; other characters that the terminal lacks become question marks."""


class ServedStream(StrEnum):
    BOTH = "both"
    REVIEW = Stream.REVIEW
    AUDIT = Stream.AUDIT


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(curate)


def curate(
    context: typer.Context,
    annotator: AnnotatorOption = None,
    role: RoleOption = None,
    stream: Annotated[
        ServedStream, typer.Option(help="Serve review cards, blind audit cards, or both mixed.")
    ] = ServedStream.BOTH,
    blind: Annotated[bool, typer.Option("--blind", help="Never show the judges' verdicts.")] = False,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show the judges' verdicts on an audit card after its decision.")
    ] = False,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="Queue order: conflict, threshold, lint, rare-cue, rare-concept, random, oldest, a weighted sum "
            "such as 0.7*conflict+0.3*lint, or mistaken: accepted pairs again that a trained model doubts.",
            show_default="as in negwb.toml",
        ),
    ] = None,
    goal: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="NUMBER",
            help="Decisions to reach in this session, shown with a bar; 0: none.",
            show_default="as in negwb.toml",
        ),
    ] = None,
    images: ImagesOption = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print one card and read one answer per line; draw no screen.")
    ] = False,
    readonly: ReadonlyOption = False,
    allow_commands: Annotated[bool, typer.Option("--allow-commands", hidden=True)] = False,
) -> None:
    """Decide negated captions: a accepts, x rejects, z undoes, ? lists the keys.

    Each decision is on disk before the next card shows, so you can stop at any moment and continue later.
    Defaults come from [curate] in negwb.toml.
    """
    from workbench.workspace.layout import find_workspace

    if blind and reveal:
        raise UsageError("--blind hides what --reveal would show", hint="use only one of them")
    if readonly and (plain or role is not None):
        other = "--plain only decides" if plain else "--role is stored"
        raise UsageError(f"{other}, and --readonly writes nothing", hint="use only one of them")
    _check_order(order)
    options = CurateOptions(
        role=role,
        only=None if stream is ServedStream.BOTH else stream,
        blind=blind or None,
        reveal=reveal,
        order=order,
        goal=goal,
        allow_commands=allow_commands,
        readonly=readonly,
    )
    workspace = find_workspace(context.obj)
    raise typer.Exit(
        run_plain(workspace, annotator, options) if plain else run_curate(workspace, annotator, options, images=images)
    )


def _check_order(order: str | None) -> None:
    from curation_db.queue.ordering import Policy

    try:
        Policy.parse(order if order is not None else "oldest")
    except ValueError as error:
        raise UsageError(str(error), hint="see: negwb curate --help") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateOptions:
    """Options of a session; None takes the value of negwb.toml."""

    role: str | None = None
    """annotator or adjudicator; None: the stored role."""
    only: str | None = None
    """review or audit; None: both."""
    blind: bool | None = None
    reveal: bool = False
    order: str | None = None
    goal: int | None = None
    """Decisions to reach; 0: none."""
    allow_commands: bool = False
    """Whether the commands of [commands] can be run from a page of `negwb serve`."""
    readonly: bool = False
    """Whether nothing is written."""


def run_curate(
    workspace: Workspace,
    annotator: str | None = None,
    options: CurateOptions | None = None,
    *,
    images: str | None = None,
    banner: str | Callable[[], str] | None = None,
    start: MainView | None = None,
    view: str = "",
    on_session: Callable[[AnnotationSession], None] = lambda session: None,
) -> int:
    """Run the curate app until the annotator quits; return the exit code.

    Args:
        annotator: Name of the annotator; None: the login name.
        images: How to draw images; None: as negwb.toml says.
        banner: Line below the status line; a function is called for each change of the session.
        start: Screen to open first, over the card; no card is leased before the annotator closes it.
        view: Query of the browse screen.
        on_session: Called with the session before the first card.

    Raises:
        UsageError: no terminal, invalid settings, or a screen that needs another role.
        NothingToDo: the workspace has no candidates.
    """
    _require_terminal()
    doubt = doubt_about_characters("negwb curate --plain")
    from workbench.workspace.settings.settings import read_settings

    settings = read_settings(workspace.settings)
    doubt = " · ".join(filter(None, (doubt, _tokenizer_problem(settings))))
    _check_theme(settings.curate, workspace)
    with _session(workspace, settings, annotator_name(annotator), options or CurateOptions()) as session:
        try:
            _check_role(session, start)
            on_session(session)
            session.start(prefetch=start is None)
            code = _run_app(
                session,
                workspace,
                settings.curate,
                actions=_actions(settings, options or CurateOptions()),
                images=images,
                banner=banner,
                doubt=doubt,
                start=start,
                view=view,
            )
        finally:
            with interruption.shielded():
                session.leave()
        if options is not None and options.readonly:
            typer.echo("negwb: nothing was written", err=True)
            return int(code)
        return _end_session(session, code)


def run_plain(workspace: Workspace, annotator: str | None = None, options: CurateOptions | None = None) -> int:
    """Run plain mode, which reads answers line by line from a terminal or a pipe; return the exit code.

    Raises:
        UsageError: invalid settings.
        NothingToDo: the workspace has no candidates.
    """
    from workbench.annotation.plain.loop import PlainLoop
    from workbench.workspace.settings.settings import read_settings

    settings = read_settings(workspace.settings)
    name = annotator_name(annotator)
    if problem := _tokenizer_problem(settings):
        typer.echo(f"negwb: {problem}", err=True)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a character outside the terminal's encoding shows as "?"
    with _session(workspace, settings, name, options or CurateOptions(), box=_PLAIN_BOX) as session:
        code = ExitCode.OK
        try:
            if warning := _overlap_warning(session, settings.curate):
                typer.echo(f"negwb: {warning}", err=True)
            session.start()
            interactive = sys.stdin is not None and sys.stdin.isatty()
            session.answers.replaceable = interactive
            PlainLoop(
                session,
                _read_answer,
                _write_line,
                interactive=interactive,
                drop_early=_drop_typed_ahead,
                viewer=settings.curate.viewer,
            ).run()
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
    """Print the prompt and return the next line of stdin, or None at its end."""
    _write_line(prompt, end="")
    line = sys.stdin.readline() if sys.stdin is not None else ""
    if not line:
        _write_line("")  # end the line of the prompt
        return None
    if not sys.stdin.isatty():
        _write_line("")  # a pipe echoes no newline: start the answer on its own line
    return line


def _drop_typed_ahead() -> bool:
    """Drop the lines typed ahead in a terminal; return whether there were any. Lines of a pipe stay: a script's."""
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
            "curate needs a terminal for input and output",
            hint="without one: negwb curate --plain reads lines, negwb demo --auto runs unattended",
        )


def annotator_name(annotator: str | None) -> str:
    """Return the checked name of the annotator; None: the login name.

    Raises:
        UsageError: the name is not allowed, or the account has no login name.
    """
    from curation_db.errors import UnusableName
    from curation_db.events.annotator_names import checked_name

    try:
        return checked_name(_login_name() if annotator is None else annotator)
    except UnusableName as error:
        raise UsageError(error.message, hint=error.hint) from error


def _tokenizer_problem(settings: Settings) -> str:
    """Return why the model's tokenizer does not count; a file is read with the first card, not before it."""
    from curation_db.language.token_counter import ClipTokenCounter

    counter = settings.checks.counter
    return counter.problem() if isinstance(counter, ClipTokenCounter) else ""


def _check_theme(settings: CurateSettings, workspace: Workspace) -> None:
    from workbench.workspace.settings.settings import OWN_THEMES

    if settings.theme not in OWN_THEMES:
        from workbench.tui.themes import check_theme  # 0.2 s, only for themes of Textual

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
        raise UsageError("this account has no login name", hint="name the annotator: --annotator NAME") from error


def _session(
    workspace: Workspace, settings: Settings, name: str, options: CurateOptions, *, box: tuple[int, int] | None = None
) -> AnnotationSession:
    """Open the annotator's session; after its start it prepares the first card while the screens are imported."""
    from curation_db.enums import Role, Stream
    from curation_db.errors import RetiredAnnotator
    from workbench.annotation.open import open_session, session_settings  # 0.2 s

    serving = session_settings(
        settings,
        order=options.order,
        only=Stream(options.only) if options.only else None,
        blind=options.blind,
        reveal=options.reveal,
        goal=options.goal,
    )
    role = Role(options.role) if options.role else None
    try:
        return open_session(
            workspace,
            name,
            role=role,
            readonly=options.readonly,
            settings=settings,
            serving=serving,
            box=box or _decode_box(),
        )
    except RetiredAnnotator as error:
        raise UsageError(error.message, hint=error.hint) from error


def _decode_box() -> tuple[int, int]:
    """Return half of this terminal in its own pixels, within bounds: a smaller image looks blurred on a fine screen."""
    import shutil

    from workbench.images.terminal_graphics import cell_pixels

    (columns, rows), (width, height) = shutil.get_terminal_size(), cell_pixels()
    side = max(_MIN_SIDE, min(_MAX_SIDE, max(columns * width // 2, rows * height)))
    return side, side


def _check_role(session: AnnotationSession, start: MainView | None) -> None:
    from curation_db.enums import Role
    from workbench.tui.screens.base.navigation import ROLE_HINT, MainView

    if start is MainView.ADJUDICATE and session.actor.role is not Role.ADJUDICATOR:
        raise UsageError("only adjudicators can settle disagreements", hint=ROLE_HINT)


def _actions(settings: Settings, options: CurateOptions) -> ActionMap:
    from workbench.workspace.keymap import ActionMap

    is_allowed = options.allow_commands or not in_a_browser()
    commands = settings.commands if is_allowed else ()
    return ActionMap(settings.curate.keys, commands=commands, read_only=options.readonly)


def _run_app(
    session: AnnotationSession,
    workspace: Workspace,
    settings: CurateSettings,
    *,
    actions: ActionMap,
    images: str | None,
    banner: str | Callable[[], str] | None,
    doubt: str,
    start: MainView | None,
    view: str,
) -> int:
    from workbench.console.terminal_env import advice, detect_terminal
    from workbench.console.terminal_query import kept_modes
    from workbench.images.terminal_graphics import choose_protocol
    from workbench.tui.app import NegwbApp  # 0.25 s
    from workbench.tui.themes import resolve_theme

    if actions.read_only:
        keys = f"{actions.cap_of('forward')} next card · {actions.cap_of('back')} previous card"
        banner = f"read-only: nothing is written · {keys}"  # fits 60 columns
    warning = _overlap_warning(session, settings)
    wanted = images or settings.images
    with kept_modes():
        theme, protocol = resolve_theme(settings.theme), choose_protocol(wanted)
        app = NegwbApp(
            session,
            actions=actions,
            theme=theme,
            protocol=protocol,
            notice="\n".join(filter(None, (doubt, advice(wanted, protocol, detect_terminal(os.environ)), warning))),
            banner=banner,
            viewer=settings.viewer,
            workspace=workspace,
            start=start,
            view=view,
            panel=settings.panels.get(session.actor.name),
        )
        return app.run_to_end()


def _end_session(session: AnnotationSession, code: int) -> int:
    """Print what the session decided; return `code`, or ExitCode.DATABASE if decisions could not be stored.

    Raises:
        RecordReplaced: the record was replaced, moved or deleted during the session.
    """
    refused = session.answers.refused
    if session.replaced is not None:
        _print_stored("", refused)
        raise session.replaced
    done, figures = _session_summary(session)
    _print_stored(done, refused)
    for label, text in figures:
        typer.echo(f"       {label:<15}{text}", err=True)
    return int(code or (ExitCode.DATABASE if refused.lost else ExitCode.OK))


def _print_stored(done: str, refused: RefusedAnswers) -> None:
    sentences = [*([done] if done else []), *(refused.clauses or (["All decisions are stored"] if done else []))]
    if sentences:
        typer.echo(f"negwb: {'. '.join(sentences)}.", err=True)
    if refused.lost:
        typer.echo("       find the cause: negwb doctor; then decide these again: negwb curate", err=True)


def _session_summary(session: AnnotationSession) -> tuple[str, list[tuple[str, str]]]:
    """Return what this session decided and the progress of the queue, and figures about the session as label and text.

    Both are empty if the record cannot be read.
    """
    from curation_db.errors import RecordError
    from workbench.annotation.wording import session_counts, session_figures

    try:
        summary = session.summary()
    except RecordError:
        return "", []
    counts = ", ".join(session_counts(summary.decisions)) or "nothing decided"
    progress = session.progress
    return f"{counts}; {progress.decided:,} of {progress.total:,} done", session_figures(summary)
