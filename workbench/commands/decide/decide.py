"""`negwb decide` and `negwb undo`: decisions without a screen, as the log of a session (`L`) lists them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation_db.enums import Kind, PersonRole, Reason, Role
from workbench.commands.options import AnnotatorOption
from workbench.console.progress_bars import step_bars
from workbench.console.terminal_check import at_a_terminal
from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from workbench.annotation.session import AnnotationSession

_EPILOG = """\b
Examples:
  negwb decide 1204 accept
  negwb decide 1204 reject --reason present --annotator ana
  negwb decide 1204 edit --text "a dog without a collar"
  echo "a dog without a collar" | negwb decide 1204 edit --text - --json
  negwb decide 1204 note --text "the left edge is cut"
  negwb decide 3-9,12 reject --reason duplicate     several at once: one undo reverses all
  negwb browse family:1204 --json | jq .id | negwb decide - reject --reason gratuitous --yes
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
    REOPEN = "reopen"

    @property
    def kind(self) -> Kind:
        return Kind.REQUEUE if self is Act.REOPEN else Kind(self.value)


_IN_BULK = (Act.ACCEPT, Act.REJECT, Act.REOPEN)


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(decide)
    app.command(epilog=_UNDO_EPILOG)(undo)


def decide(
    context: typer.Context,
    candidates: Annotated[
        str, typer.Argument(metavar="CANDIDATES", help="Id of the candidate; several: 3-9,12, or - for those on stdin.")
    ],
    act: Annotated[Act, typer.Argument(help="The decision; flag also removes your flag.")],
    reason: Annotated[
        Reason | None,
        typer.Option(metavar="REASON", help=f"Why it is rejected: {', '.join(Reason)}.", show_default=False),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="The new text of an edit, or the note; - reads it from stdin.", show_default=False),
    ] = None,
    concept: Annotated[str | None, typer.Option(help="The negated concept of an edit.", show_default=False)] = None,
    bulk: Annotated[
        bool, typer.Option("--bulk", help="Decide as in Browse in bulk, also about a single candidate.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Decide in bulk without a question.")] = False,
    annotator: AnnotatorOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision as one JSON object.")] = False,
) -> None:
    """Decide candidates, with the same effect as the keys on a card or of a bulk decision.

    No time is stored with the decision, so it never counts as hasty. An audit candidate is decided blind. Several
    candidates are accepted, rejected or reopened as one action after a backup: audit and gold candidates and those that
    another session shows are left out, and one undo reverses all. An edit is checked like one on a card: the findings
    are warnings.
    """
    if text == "-" and candidates != "-":
        text = sys.stdin.read().removesuffix("\n")
    _check(act, reason, text, concept)
    numbers = _numbers(candidates)
    if bulk or len(numbers) > 1 or act is Act.REOPEN:
        if as_json:
            raise UsageError("--json is about one candidate", hint="as in: negwb decide 1204 accept --json")
        _decide_in_bulk(context, numbers, act, reason, annotator, yes=yes)
        return
    candidate = numbers[0]
    with commands_session(context, annotator) as session:
        session.open(candidate)
        done: dict[str, Any] = {"candidate": candidate, "act": act, "reason": reason, "annotator": session.actor.name}
        if act is Act.EDIT:
            done |= _edit(session, candidate, text or "", concept)
        elif act is Act.NOTE:
            session.note(text or "")
            typer.echo(f"negwb: candidate {candidate} has the note", err=True)
        elif act is Act.FLAG:
            done["flagged"] = session.toggle_flag()
            flagged = "flagged" if done["flagged"] else "not flagged any more"
            typer.echo(f"negwb: candidate {candidate} is {flagged}", err=True)
        else:
            done["state"] = session.submit(act.kind, reason).status.state
            _report(candidate, act.kind, done["state"], reason)
    if as_json:
        typer.echo(json.dumps(done))


def _edit(session: AnnotationSession, candidate: int, text: str, concept: str | None) -> dict[str, Any]:
    """Replace the candidate, which is the current card; print the findings about the new text as warnings.

    Raises:
        ValueError: the text is empty or unchanged.
        RecordError: nothing was written.
    """
    from curation_db.language.sanitize import display_text
    from workbench.annotation.edit_checks import findings_about

    findings = []
    if session.current is not None:
        findings = findings_about(session.current.card, text, concept, session.settings.checks)
    done = session.edit(text, concept)
    for finding in findings:
        typer.echo(f"negwb: warning: {display_text(finding.message, limit=120)}", err=True)
    _report(candidate, Kind.EDIT, done.status.state, None)
    if done.child is not None:
        typer.echo(f"negwb: the new text is candidate {done.child_id}: {done.child.state}", err=True)
    return {
        "state": done.status.state,
        "child": done.child_id,
        "child_state": None if done.child is None else done.child.state,
        "findings": [{"rule": each.rule, "severity": each.severity, "message": each.message} for each in findings],
    }


def _numbers(candidates: str) -> list[int]:
    from workbench.annotation.candidate_ranges import parsed

    try:
        return parsed(sys.stdin.read() if candidates == "-" else candidates)
    except ValueError as error:
        raise UsageError(str(error), hint="as in: negwb decide 1204 accept, or 3-9,12") from error


def _decide_in_bulk(
    context: typer.Context, numbers: list[int], act: Act, reason: Reason | None, annotator: str | None, *, yes: bool
) -> None:
    """Decide candidates as one action.

    Raises:
        UsageError: the act is about single candidates, or there is no terminal for the question.
        NothingToDo: no candidate would change, or the answer was no.
    """
    from curation_db.review.bulk import decide_in_bulk, preview
    from workbench.annotation.wording import BULK
    from workbench.tui.rendering.bulk import confirmation, nothing_to_do

    if act not in _IN_BULK:
        raise UsageError(f"{act} is about one candidate", hint=f"several at once: {', '.join(_IN_BULK)}")
    with commands_session(context, annotator) as session:
        with session.store.read() as connection:
            expected = preview(connection, session.actor, numbers, act.kind)
        if not expected.changing:
            lines = nothing_to_do(expected, act.kind).plain.removeprefix("⚠ ").split()
            raise NothingToDo(" ".join(lines))
        typer.echo(confirmation(expected, act.kind, reason).plain, err=True)
        _confirm(yes=yes)
        with session.answers.counting(numbers), step_bars() as report_step:
            done = decide_in_bulk(session.store, session.actor, numbers, act.kind, reason, progress=report_step)
        typer.echo(f"negwb: {done.changed:,} {BULK[act.kind].past}; undo all of them: negwb undo", err=True)


def _confirm(*, yes: bool) -> None:
    if yes:
        return
    if not at_a_terminal():
        raise UsageError("the question needs a terminal", hint="add --yes to decide without a question")
    if not typer.confirm("Decide?", default=False, err=True):
        raise NothingToDo("nothing was decided")


def undo(
    context: typer.Context,
    annotator: AnnotatorOption = None,
    redo: Annotated[bool, typer.Option("--redo", help="Redo what you undid last.")] = False,
) -> None:
    """Undo your last action, of a bulk decision as a whole; without limit, also of earlier sessions."""
    from workbench.annotation.wording import reversed_line

    with commands_session(context, annotator) as session:
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
        raise UsageError(
            wrong,
            hint=f"negwb decide ID {Act.EDIT if act is Act.EDIT else Act.NOTE} --text TEXT, or --text - for stdin",
        )
    if concept is not None and act is not Act.EDIT:
        raise UsageError(f"{act} takes no concept", hint="only an edit changes the concept")


@contextmanager
def commands_session(
    context: typer.Context, annotator: str | None, *, role: PersonRole | None = None
) -> Iterator[AnnotationSession]:
    """Open a session that prepares no cards."""
    from dataclasses import replace

    from curation_db.errors import RetiredAnnotator
    from workbench.annotation.open import open_session, session_settings
    from workbench.commands.decide.curate import annotator_name
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.settings.settings import read_settings

    workspace = find_workspace(context.obj)
    settings = read_settings(workspace.settings)
    serving = replace(session_settings(settings), is_timed=False)
    try:
        session = open_session(
            workspace,
            annotator_name(annotator),
            role=None if role is None else Role(role),
            settings=settings,
            serving=serving,
            box=_NO_IMAGE,
        )
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
