"""`negwb accept`: let judges accept candidates, as far as audit labels certify their precision."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation_db.enums import Claim

if TYPE_CHECKING:
    from curation_db.lint.linter import LintSettings
    from curation_db.storage.store import Store
    from curation_db.trust.policy import AcceptancePlan, Policy, PolicyReview

_PAGE = 1_000
_EPILOG = """\b
Examples:
  negwb accept                              show the plan, and ask
  negwb accept --precision 0.98 --yes       another target, without a question
  negwb accept --looks 300,600              look at the labels only when there are 300 and 600
  negwb accept --dry-run --json             only the plan
  negwb export --without-auto               leave automatic acceptances out of an export

\b
The judges and checks are combined into a score. Thresholds of the score are tested with audit labels, which people give
blind: negwb curate --stream audit. An acceptance is right with at least the precision, with the confidence; the share
among few acceptances can be lower by chance. Further labels may be given at any time. Acceptances that they refute, or
that another model or prompt judges later, are withdrawn. Do not review only the easy cases before: it leaves the hard
ones, and the audit set has both.
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(accept)


def accept(
    context: typer.Context,
    precision: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Least share of right ones among the accepted candidates.")
    ] = 0.95,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Probability that the precision holds, of all strata together.")
    ] = 0.95,
    label: Annotated[
        Claim, typer.Option(help="acceptable: a person would accept it; absent: the concept is not in the image.")
    ] = Claim.ACCEPTABLE,
    looks: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Test only when there are so many labels, all of them later than now: exact bounds, fewer labels.",
            show_default="after every label",
        ),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Declare again, with the present labels, judges and candidates: a new test.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept and withdraw without a question.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; without --yes nothing is written.")
    ] = False,
) -> None:
    """Accept candidates by their judges, as far as blind labels certify the precision.

    A policy is declared at its first run and stored: score, strata, thresholds. Later runs test the same policy with
    more labels. Candidates of the audit, gold items and candidates with a decision are never accepted.
    """
    from curation_db.storage.store import open_read_only, open_store
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.settings.settings import read_settings

    workspace = find_workspace(context.obj)
    declared_looks = _parse_looks(looks)
    writes = not dry_run and (yes or not as_json)
    with (open_store if writes else open_read_only)(workspace.database) as store:
        if writes:
            _index_checks(store, read_settings(workspace.settings).checks)
        stored = None if new else _stored(store, label, precision, confidence, declared_looks)
        policy = stored or _declare(store, label, precision, confidence, declared_looks)
        declarations = _store_declaration(store, policy) if writes else None
        plan, reviews = _read(store, policy)
        declared = writes or stored is not None
        report = _report(plan, reviews, declarations) | {"declared": declared}
        if not as_json:
            _show(plan, reviews, declarations, declared=declared)
        withdrawn = sum(len(each.withdrawn) for each in reviews)
        if writes and (plan.accepted or withdrawn) and (yes or _confirmed(len(plan.accepted), withdrawn)):
            report |= _apply(store, plan, reviews)
    if as_json:
        typer.echo(json.dumps(report))


def _parse_looks(looks: str | None) -> tuple[int, ...] | None:
    from workbench.errors import UsageError

    if looks is None:
        return None
    try:
        numbers = tuple(int(each) for each in looks.split(","))
    except ValueError:
        numbers = ()
    if not numbers or numbers[0] < 1 or list(numbers) != sorted(set(numbers)):
        raise UsageError(f"--looks {looks!r}: rising numbers are expected", hint="for example --looks 300,600,1200")
    return numbers


def _index_checks(store: Store, checks: LintSettings) -> None:
    """Complete the index of lint findings, which are evidence."""
    from curation_db.lint.index import LintIndexer
    from workbench.console.progress_bars import step_bars

    indexer = LintIndexer(store, checks)
    with step_bars(lines=True) as report_step:
        while indexer.step(_PAGE):
            report_step("indexing lint findings", indexer.progress.upto, indexer.progress.newest)


def _stored(
    store: Store, claim: Claim, target: float, confidence: float, looks: tuple[int, ...] | None
) -> Policy | None:
    """Return the newest stored policy with these settings."""
    from curation_db.trust.policy import stored_policies

    with store.read() as connection:
        stored = stored_policies(connection)
    wanted = (claim, target, confidence, looks)
    matching = [each for each in stored if (each.claim, each.target, each.confidence, each.looks) == wanted]
    return matching[-1] if matching else None


def _declare(store: Store, claim: Claim, target: float, confidence: float, looks: tuple[int, ...] | None) -> Policy:
    from curation_db.errors import RecordError
    from curation_db.trust.policy import declare
    from workbench.errors import NothingToDo

    with store.read() as connection:
        try:
            return declare(connection, claim, target, confidence=confidence, looks=looks)
        except RecordError as error:
            raise NothingToDo(error.message, hint=error.hint) from error


def _store_declaration(store: Store, policy: Policy) -> int:
    from curation_db.trust.policy import store_declaration

    return store_declaration(store, policy)


def _read(store: Store, policy: Policy) -> tuple[AcceptancePlan, list[PolicyReview]]:
    from curation_db.trust import policy as policies

    with store.read() as connection:
        reviews = [policies.review(connection, each) for each in policies.stored_policies(connection)]
        return policies.plan(connection, policy), [each for each in reviews if each.accepted]


def _report(plan: AcceptancePlan, reviews: list[PolicyReview], declarations: int | None) -> dict[str, Any]:
    from workbench.reports.trust.acceptance import plan_json, review_json

    return {
        "plan": plan_json(plan),
        "policies": [review_json(each) for each in reviews],
        "declarations": declarations,
        "accepted": 0,
        "withdrawn": 0,
    }


def _show(plan: AcceptancePlan, reviews: list[PolicyReview], declarations: int | None, *, declared: bool) -> None:
    from workbench.console.tables import show
    from workbench.reports.trust.acceptance import notes, plan_listing, reviews_listing

    show([plan_listing(plan), *([reviews_listing(reviews)] if reviews else [])])
    lines = notes(plan, reviews)
    if not declared:
        lines.append(
            "this policy is not declared: if its plan decides whether you declare it or another one, each plan that"
            " you saw is a test, and the confidence holds for a single test"
        )
    if declarations and declarations > 1:
        lines.append(f"{declarations} policies are declared: the confidence holds for each of them, not for all")
    if not plan.accepted:
        lines.append("nothing can be accepted now; more audit labels: negwb curate --stream audit")
    for line in lines:
        typer.echo(f"negwb: {line}", err=True)


def _confirmed(accepted: int, withdrawn: int) -> bool:
    steps = [f"accept {accepted:,}"] if accepted else []
    steps += [f"withdraw {withdrawn:,}"] if withdrawn else []
    return typer.confirm(f"{' and '.join(steps)}?", default=False, err=True)


def _apply(store: Store, plan: AcceptancePlan, reviews: list[PolicyReview]) -> dict[str, int]:
    from curation_db.trust.policy import accept as accept_plan
    from curation_db.trust.policy import withdraw
    from workbench.console.progress_bars import step_bars

    with step_bars() as bars:
        withdrawn = sum(withdraw(store, each) for each in reviews if each.withdrawn)
        accepted = accept_plan(store, plan, progress=lambda done, total: bars("accepting", done, total))
    typer.echo(f"negwb: {accepted:,} accepted by {plan.policy.actor}, {withdrawn:,} withdrawn", err=True)
    return {"accepted": accepted, "withdrawn": withdrawn}
