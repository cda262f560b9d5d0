"""`negwb lint`: check the texts of all candidates of the workspace against the lint rules."""

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
  negwb lint                                count the findings of each rule
  negwb lint --rule in-sibling              list the candidates with this finding
  negwb lint --rule duplicate --state open --json | jq -r .key
  negwb lint --rules                        explain the rules

\b
To turn off a rule, set in negwb.toml:  [lint] off = ["over-frequent"]
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(lint)


def lint(
    context: typer.Context,
    rule: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", help="List the candidates with a finding of this rule; repeatable (any of them)."),
    ] = None,
    state: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Only candidates in this state, such as open; repeatable.")
    ] = None,
    explain: Annotated[bool, typer.Option("--rules", help="Explain the rules; check nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --rule one object per line.")] = False,
) -> None:
    """Run the lint rules over all candidates, including the rules that compare candidates.

    A finding is a warning, never a decision; the cards show it too. Candidates replaced by an edit are left out.
    """
    from curation_db.lint.linter import DEFAULTS
    from workbench.workspace.layout import NoWorkspace, find_workspace
    from workbench.workspace.settings.settings import read_settings

    wanted, states = _rules(rule or []), _states(state or [])
    try:
        workspace = find_workspace(context.obj)
    except NoWorkspace:
        if explain:
            _explain(DEFAULTS, as_json=as_json)
            return
        raise
    settings = read_settings(workspace.settings).checks
    if explain:
        _explain(settings, as_json=as_json)
        return
    if off := sorted(wanted & settings.off):
        raise UsageError(f"the rule {off[0]} is off", hint="remove it from [lint] off in negwb.toml")
    if problem := settings.counter.problem():
        typer.echo(f"negwb: {problem}", err=True)
    with _survey(workspace, settings) as result:
        linted = (each for each in result.results if not states or each.state in states)
        if wanted:
            _list((each for each in linted if wanted & {finding.rule for finding in each.findings}), as_json=as_json)
        else:
            _count(linted, result.candidates, settings, as_json=as_json)


def _rules(names: list[str]) -> frozenset[Rule]:
    from curation_db.lint.linter import Rule

    unknown = [name for name in names if name not in list(Rule)]
    if unknown:
        raise UsageError(f"there is no rule {unknown[0]!r}", hint=f"known: {', '.join(Rule)}")
    return frozenset(map(Rule, names))


def _states(names: list[str]) -> frozenset[str]:
    from curation_db.enums import State

    unknown = [name for name in names if name not in list(State)]
    if unknown:
        raise UsageError(f"there is no state {unknown[0]!r}", hint=f"known: {', '.join(State)}")
    return frozenset(names)


@contextmanager
def _survey(workspace: Workspace, settings: LintSettings) -> Iterator[LintReport]:
    """Yield the findings as a stream: all of a million candidates may have one."""
    from curation_db.lint.report import lint_record
    from curation_db.storage.store import open_read_only
    from workbench.console.progress_bars import step_bars

    with open_read_only(workspace.database) as store, step_bars(lines=True) as report_step:
        yield lint_record(store, settings, progress=lambda done, total: report_step("candidates", done, total))


def _explain(settings: LintSettings, *, as_json: bool) -> None:
    from curation_db.lint.linter import RULES

    rules = [
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
        typer.echo(json.dumps(rules))
        return
    for each in rules:
        off = "" if each["on"] else ", off"
        typer.echo(f"{each['rule']} ({each['severity']}{off}): {each['finds']}\n    {each['advice']}")


def _count(linted: Iterable[CandidateFindings], candidates: int, settings: LintSettings, *, as_json: bool) -> None:
    from curation_db.lint.linter import RULES

    counts: Counter[Rule] = Counter()
    warned = 0
    for each in linted:
        warned += 1
        counts.update(finding.rule for finding in each.findings)
    if as_json:
        rules = {str(rule): counts[rule] if rule in settings.rules else None for rule in RULES}
        typer.echo(json.dumps({"candidates": candidates, "warned": warned, "rules": rules}))
        return
    rows = [
        (str(rule), str(info.severity), info.finds, f"{counts[rule]:,}" if rule in settings.rules else "off")
        for rule, info in RULES.items()
    ]
    show([Listing("Checks", ("rule", "severity", "finds", "candidates"), rows, left=3)])
    typer.echo(f"negwb: {warned:,} of {candidates:,} candidates have findings", err=True)


def _list(linted: Iterable[CandidateFindings], *, as_json: bool) -> None:
    if as_json:
        for each in linted:
            typer.echo(json.dumps(_candidate_json(each)))
        return
    rows = [
        (str(each.candidate_id), str(each.state), "; ".join(finding.message for finding in each.findings), each.text)
        for each in linted
    ]
    if rows:
        show([Listing("Candidates", ("id", "state", "warnings", "text"), rows, left=4)])
    else:
        typer.echo("negwb: no findings", err=True)


def _candidate_json(each: CandidateFindings) -> dict[str, Any]:
    findings = [{"rule": str(f.rule), "severity": str(f.severity), "says": f.message} for f in each.findings]
    fields = {"id": each.candidate_id, "key": each.key, "state": str(each.state), "text": each.text}
    return {**fields, "concept": each.concept, "findings": findings}
