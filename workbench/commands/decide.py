"""`negwb decide` and `negwb undo`: single decisions without a screen, as the log of a session (`L`) lists them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from curation_db.enums import Kind, Reason
from workbench.commands.options import AnnotatorOption
from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from workbench.annotation.session import AnnotationSession

_EPILOG = """\b
Examples:
  negwb decide 1204 accept
  negwb decide 1204 reject --reason present --annotator ana
  negwb decide 1204 edit --text "a dog without a collar"
  negwb decide 1204 note --text "the left edge is cut"
"""
_UNDO_EPILOG = """\b
Examples:
  negwb undo                        undo your last action
  negwb undo --redo                 redo what you undid last
"""
_NO_IMAGE = (16, 16)
"""Decoded size: a command shows no image."""


class Act(StrEnum):
    ACCEPT = Kind.ACCEPT
    REJECT = Kind.REJECT
    UNSURE = Kind.UNSURE
    SKIP = Kind.SKIP
    EDIT = Kind.EDIT
    NOTE = Kind.NOTE
    FLAG = Kind.FLAG


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(decide)
    app.command(epilog=_UNDO_EPILOG)(undo)


def decide(
    context: typer.Context,
    candidate: Annotated[int, typer.Argument(help="Id of the candidate.")],
    act: Annotated[Act, typer.Argument(help="The decision; flag also removes your flag.")],
    reason: Annotated[
        Reason | None,
        typer.Option(metavar="REASON", help=f"Why it is rejected: {', '.join(Reason)}.", show_default=False),
    ] = None,
    text: Annotated[str | None, typer.Option(help="The new text of an edit, or the note.", show_default=False)] = None,
    concept: Annotated[str | None, typer.Option(help="The negated concept of an edit.", show_default=False)] = None,
    annotator: AnnotatorOption = None,
) -> None:
    """Decide one candidate, with the same effect as a key on its card.

    No time is stored with the decision, so it never counts as hasty. An audit candidate is decided blind.
    """
    _check(act, reason, text, concept)
    with _session(context, annotator) as session:
        session.open(candidate)
        if act is Act.EDIT:
            _report(candidate, Kind.EDIT, session.edit(text or "", concept).status.state, None)
        elif act is Act.NOTE:
            session.note(text or "")
            typer.echo(f"negwb: candidate {candidate} has the note", err=True)
        elif act is Act.FLAG:
            flagged = session.toggle_flag()
            typer.echo(f"negwb: candidate {candidate} is {'flagged' if flagged else 'not flagged any more'}", err=True)
        else:
            _report(candidate, Kind(act), session.submit(Kind(act), reason).status.state, reason)


def undo(
    context: typer.Context,
    annotator: AnnotatorOption = None,
    redo: Annotated[bool, typer.Option("--redo", help="Redo what you undid last.")] = False,
) -> None:
    """Undo your last action, of a bulk decision as a whole; without limit, also of earlier sessions."""
    from workbench.annotation.wording import reversed_line

    with _session(context, annotator) as session:
        kind = session.redo() if redo else session.undo()
        word = "redo" if redo else "undo"
        if kind is None or session.reversed_action is None:
            raise NothingToDo(f"there is nothing to {word}")
        typer.echo(f"negwb: {reversed_line(session.reversed_action, back=not redo)}", err=True)


def _check(act: Act, reason: Reason | None, text: str | None, concept: str | None) -> None:
    """Check that the options fit the act.

    Raises:
        UsageError: an option is missing or has no meaning.
    """
    if (act is Act.REJECT) != (reason is not None):
        reasons = ", ".join(Reason)
        wrong = "a rejection needs a reason" if reason is None else f"{act} takes no reason"
        raise UsageError(wrong, hint=f"negwb decide ID reject --reason REASON, one of: {reasons}")
    if (act in (Act.EDIT, Act.NOTE)) != bool(text):
        wrong = f"{act} needs a text" if not text else f"{act} takes no text"
        raise UsageError(wrong, hint=f"negwb decide ID {Act.EDIT} --text TEXT, or {Act.NOTE}")
    if concept is not None and act is not Act.EDIT:
        raise UsageError(f"{act} takes no concept", hint="only an edit changes the concept")


@contextmanager
def _session(context: typer.Context, annotator: str | None) -> Iterator[AnnotationSession]:
    """Open a session that prepares no cards."""
    from dataclasses import replace

    from curation_db.errors import RetiredAnnotator
    from workbench.annotation.open import open_session, session_settings
    from workbench.commands.curate import annotator_name
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.settings import read_settings

    workspace = find_workspace(context.obj)
    settings = read_settings(workspace.settings)
    serving = replace(session_settings(settings), is_timed=False)
    try:
        session = open_session(workspace, annotator_name(annotator), settings=settings, serving=serving, box=_NO_IMAGE)
    except RetiredAnnotator as error:
        raise UsageError(error.message, hint=error.hint) from error
    with session:
        try:
            yield session
        except ValueError as error:
            raise UsageError(str(error), hint="see: negwb decide --help") from error


def _report(candidate: int, kind: Kind, state: str, reason: Reason | None) -> None:
    from workbench.annotation.wording import DECISIONS, readable

    because = f": {readable(reason)}" if reason is not None else ""
    typer.echo(f"negwb: candidate {candidate} {DECISIONS[kind].past}{because}; now {readable(state)}", err=True)
