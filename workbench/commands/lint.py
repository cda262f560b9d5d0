"""`negwb lint`: what a machine can see about candidates without looking at the picture, over the whole workspace."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.console.tables import Listing, show
from workbench.errors import UsageError

if TYPE_CHECKING:
    from curation_db.lint.linter import LintSettings, Rule
    from curation_db.lint.report import CandidateFindings, LintReport
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb lint                                how many candidates each rule warns about
  negwb lint --rule in-sibling              and which; several: what any of them finds
  negwb lint --rule duplicate --state open --json | jq -r .key
  negwb lint --rules                        what each rule finds, and what to do about it

\b
Rules are turned off in negwb.toml:  [lint] off = ["over-frequent"]
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(lint)


def lint(
    context: typer.Context,
    rule: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help="List what this rule finds; may be given several times.")
    ] = None,
    state: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Only candidates in this state, such as open.")
    ] = None,
    explain: Annotated[bool, typer.Option("--rules", help="Explain every rule, and look at nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line where --rule lists.")] = False,
) -> None:
    """Run the checks of the cards over all candidates, with those that need to know the others.

    A finding warns a person and never decides; the cards themselves show it too. What an edit replaced is left out.
    """
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.settings import read_settings

    wanted, states = _rules(rule or []), _states(state or [])
    workspace = find_workspace(context.obj)
    from curation_db.lint.linter import DEFAULTS

    settings = read_settings(workspace.settings).lint or DEFAULTS
    if explain:
        _explain(settings, as_json=as_json)
        return
    if off := sorted(wanted & settings.off):
        raise UsageError(f"the rule {off[0]} is off", hint="take it out of [lint] off in negwb.toml")
    with _survey(workspace, settings) as looked:
        found = (each for each in looked.results if not states or each.state in states)
        if wanted:
            _list((each for each in found if wanted & {told.rule for told in each.findings}), as_json=as_json)
        else:
            _count(found, looked.candidates, settings, as_json=as_json)


def _rules(told: list[str]) -> frozenset[Rule]:
    from curation_db.lint.linter import Rule

    unknown = [name for name in told if name not in list(Rule)]
    if unknown:
        raise UsageError(f"there is no rule {unknown[0]!r}", hint=f"known: {', '.join(Rule)}")
    return frozenset(map(Rule, told))


def _states(told: list[str]) -> frozenset[str]:
    from curation_db.enums import State

    unknown = [name for name in told if name not in list(State)]
    if unknown:
        raise UsageError(f"there is no state {unknown[0]!r}", hint=f"known: {', '.join(State)}")
    return frozenset(told)


@contextmanager
def _survey(workspace: Workspace, settings: LintSettings) -> Iterator[LintReport]:
    """What is found, as it is read: of a million candidates all may be warned about."""
    from curation_db.lint.report import lint_record
    from curation_db.storage.store import open_read_only
    from workbench.console.progress_bars import step_bars

    with open_read_only(workspace.database) as store, step_bars(lines=True) as tell:
        yield lint_record(store, settings, progress=lambda done, total: tell("candidates", done, total))


def _explain(settings: LintSettings, *, as_json: bool) -> None:
    from curation_db.lint.linter import RULES

    told = [
        {
            "rule": str(info.rule),
            "severity": str(info.severity),
            "on": info.rule not in settings.off,
            "finds": info.finds,
            "advice": info.advice,
        }
        for info in RULES.values()
    ]
    if as_json:
        typer.echo(json.dumps(told))
        return
    for each in told:
        off = "" if each["on"] else ", off"
        typer.echo(f"{each['rule']} ({each['severity']}{off}): {each['finds']}\n    {each['advice']}")


def _count(found: Iterable[CandidateFindings], looked_at: int, settings: LintSettings, *, as_json: bool) -> None:
    from curation_db.lint.linter import RULES

    counts: Counter[Rule] = Counter()
    warned = 0
    for each in found:
        warned += 1
        counts.update(finding.rule for finding in each.findings)
    if as_json:
        rules = {str(rule): counts[rule] if rule in settings.rules else None for rule in RULES}
        typer.echo(json.dumps({"candidates": looked_at, "warned": warned, "rules": rules}))
        return
    rows = [
        (str(rule), str(info.severity), info.finds, f"{counts[rule]:,}" if rule in settings.rules else "off")
        for rule, info in RULES.items()
    ]
    show([Listing("Checks", ("rule", "", "finds", "candidates"), rows, left=3)])
    typer.echo(f"negwb: {warned:,} of {looked_at:,} candidates are warned about", err=True)


def _list(found: Iterable[CandidateFindings], *, as_json: bool) -> None:
    if as_json:
        for each in found:
            typer.echo(json.dumps(_candidate_json(each)))
        return
    rows = [
        (str(each.candidate_id), str(each.state), "; ".join(finding.message for finding in each.findings), each.text)
        for each in found
    ]
    if rows:
        show([Listing("Candidates", ("id", "state", "warnings", "text"), rows, left=4)])
    else:
        typer.echo("negwb: nothing is found", err=True)


def _candidate_json(each: CandidateFindings) -> dict[str, Any]:
    findings = [{"rule": str(f.rule), "severity": str(f.severity), "says": f.message} for f in each.findings]
    told = {"id": each.candidate_id, "key": each.key, "state": str(each.state), "text": each.text}
    return {**told, "concept": each.concept, "findings": findings}
