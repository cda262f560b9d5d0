"""`negwb adjudicate`: decide the candidates on which annotators disagree, on a screen or one by its id."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from curation_db.enums import Cause, Kind, Reason, State
from workbench.commands.decide.curate import CurateOptions, run_curate
from workbench.commands.decide.decide import commands_session
from workbench.commands.options import AnnotatorOption, ImagesOption, RoleOption
from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from workbench.annotation.session import AnnotationSession

_EPILOG = """\b
Examples:
  negwb adjudicate --role adjudicator       first use; the record stores the role
  negwb adjudicate -a dan                   decide as dan
  negwb adjudicate 1204 accept              without a screen; undo it with: negwb undo
  negwb adjudicate 1204 reject --reason present --cause annotator_slip --json
"""


class Verdict(StrEnum):
    ACCEPT = Kind.ACCEPT
    REJECT = Kind.REJECT


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(adjudicate)


def adjudicate(
    context: typer.Context,
    candidate: Annotated[
        int | None, typer.Argument(metavar="[CANDIDATE]", help="Id of a candidate to decide without a screen.")
    ] = None,
    verdict: Annotated[Verdict | None, typer.Argument(metavar="[accept|reject]", help="The decision about it.")] = None,
    reason: Annotated[
        Reason | None,
        typer.Option(metavar="REASON", help=f"Why it is rejected: {', '.join(Reason)}.", show_default=False),
    ] = None,
    cause: Annotated[
        Cause | None,
        typer.Option(metavar="CAUSE", help=f"Why annotators disagreed: {', '.join(Cause)}.", show_default=False),
    ] = None,
    annotator: AnnotatorOption = None,
    role: RoleOption = None,
    images: ImagesOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision as one JSON object.")] = False,
) -> None:
    """Decide the candidates on which annotators disagree, lowest agreement first.

    Annotator names and judge verdicts stay hidden until you decide. The key d in negwb curate opens the same screen.
    With the id of a candidate and a decision, no screen opens. Requires the role adjudicator.
    """
    from workbench.tui.screens.base.navigation import MainView
    from workbench.workspace.layout import find_workspace

    if candidate is not None and verdict is not None:
        _check_reason(candidate, verdict, reason)
        with commands_session(context, annotator, role=role) as session:
            _adjudicate(session, candidate, Kind(verdict), reason, cause, as_json=as_json)
        return
    if candidate is not None:
        raise UsageError("the decision is missing", hint=f"as in: negwb adjudicate {candidate} accept")
    if reason is not None or cause is not None or as_json:
        raise UsageError(
            "--reason, --cause and --json belong to one candidate", hint="as in: negwb adjudicate 1204 accept --json"
        )
    options = CurateOptions(role=role)
    raise typer.Exit(
        run_curate(find_workspace(context.obj), annotator, options, images=images, start=MainView.ADJUDICATE)
    )


def _check_reason(candidate: int, verdict: Verdict, reason: Reason | None) -> None:
    if (verdict is Verdict.REJECT) != (reason is not None):
        wrong = "a rejection needs a reason" if reason is None else "accept takes no reason"
        hint = f"negwb adjudicate {candidate} reject --reason REASON, one of: {', '.join(Reason)}"
        raise UsageError(wrong, hint=hint)


def _adjudicate(
    session: AnnotationSession,
    candidate: int,
    verdict: Kind,
    reason: Reason | None,
    cause: Cause | None,
    *,
    as_json: bool,
) -> None:
    """Settle one disagreement, as the screen does.

    Raises:
        NothingToDo: an adjudicator has settled it already.
        UsageError: annotators do not disagree about it.
        RecordError: not an adjudicator, no such candidate, or an edit has replaced it; nothing was written.
    """
    from curation_db.events.annotators import require_adjudicator
    from curation_db.review.decisions import PresentationContext
    from curation_db.search.disagreements import disagreement_about, vote_summary
    from workbench.annotation.models import CardOrigin
    from workbench.annotation.wording import DECISIONS, readable

    require_adjudicator(session.actor, "adjudicate")
    with session.store.read() as connection:
        final = vote_summary(connection, candidate).final
        disputed = disagreement_about(connection, candidate) is not None
    if final is not None:
        done = f"{final.actor} has adjudicated candidate {candidate} already: {final.verdict}"
        raise NothingToDo(done, hint=f"undo that first: negwb undo -a {final.actor}")
    ready = session.loader.load(candidate, origin=CardOrigin.SEARCH, leased=False, with_image=False)
    if not disputed and ready.card.state is not State.SUPERSEDED:
        raise UsageError(
            f"annotators do not disagree about candidate {candidate}", hint=f"decide it: negwb decide {candidate} ..."
        )
    shown = PresentationContext(ready.stream, blind=True, leased=False)
    result = session.adjudicate(candidate, verdict, reason=reason, cause=cause, shown=shown)
    because = f": {readable(reason)}" if reason is not None else ""
    state = result.status.state
    typer.echo(f"negwb: candidate {candidate} {DECISIONS[verdict].past}{because}; now {readable(state)}", err=True)
    if as_json:
        fields = {"candidate": candidate, "act": Kind.ADJUDICATE, "verdict": verdict, "reason": reason, "cause": cause}
        typer.echo(json.dumps({**fields, "annotator": session.actor.name, "state": state}))
