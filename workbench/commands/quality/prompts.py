"""`negwb prompts`: what people accept of each prompt version, and what an accepted candidate costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from curation_db.generation.comparisons import PromptComparison
    from curation_db.generation.random_assignment import Arm
    from curation_db.stats.prompt_acceptance import Dimension

_HELP = {"help_option_names": ["-h", "--help"]}
_BY = "proposer,prompt,cue,type"
_EPILOG = """\b
Examples:
  negwb prompts                             by proposer model, prompt version, cue and negation type
  negwb prompts --by prompt                 one row for each prompt version
  negwb prompts --by prompt,type --json | jq '.[] | {prompt, type, share: .audit.share}'
  negwb prompts compare negwb-p1-1 mine     after: negwb generate --compare negwb-p1-1 mine.toml

\b
accepted %: of the audit labels, which are blind answers of people on a random sample (negwb curate --stream audit).
Reviewed decisions stand apart: hard cases may come first. unsure and an edit count as not accepted.
per accepted: all requests of the prompt version, over the candidates that people accept by the audit labels; money
needs price_in and price_out per million tokens in [engines.NAME] of negwb.toml.
"""

_COMPARE = """\b
Examples:
  negwb generate --compare negwb-p1-1 mine.toml --limit 400
  negwb curate --stream audit
  negwb prompts compare negwb-p1-1 mine.toml
  negwb prompts compare                     list the comparisons
  negwb prompts compare 3 --json            comparison 3

\b
The difference is that of B from A. Chance decided, within each pair of captions of an image, which one A got: the test
swaps these pairs, so it needs no assumption about images or people. A pair seldom has both audit labels, so all labels
count and not only those of complete pairs; if all pairs are complete, the test is McNemar's. The p-value holds for one
look: decide before how many labels you will give.
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(rich_markup_mode=None, context_settings=_HELP)
    group.callback(invoke_without_command=True, epilog=_EPILOG)(prompts)
    group.command(epilog=_COMPARE)(compare)
    app.add_typer(group, name="prompts")


def prompts(
    context: typer.Context,
    by: Annotated[
        str, typer.Option(metavar="NAME,...", help="Group by: proposer, prompt, cue, type, pipeline, position.")
    ] = _BY,
    fold_below: Annotated[
        int, typer.Option(min=0, metavar="N", help="Fold groups with fewer audit labels into one row.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Show which share of the candidates people accept, by prompt, and the cost of an accepted one."""
    if context.invoked_subcommand is not None:
        return
    from curation_db.storage.store import open_read_only
    from workbench.console.tables import show
    from workbench.errors import NothingToDo
    from workbench.generation.prompts.seen_labels import seen_labels
    from workbench.reports import prompt_report as report
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.settings.settings import read_settings

    dimensions = _dimensions(by)
    workspace = find_workspace(context.obj)
    prices = report.prices_of(read_settings(workspace.settings).generate.engines)
    with open_read_only(workspace.database) as store, store.read() as connection:
        seen = seen_labels(connection)
        result = report.prompt_report(
            connection,
            dimensions,
            prices,
            fold_below=fold_below,
            is_seen=lambda each: seen.includes(each.cell.prompt, each.image_id),
        )
    if not result.rows:
        raise NothingToDo("there are no candidates yet", hint="see: negwb generate --help")
    if as_json:
        typer.echo(json.dumps(report.report_json(result)))
    else:
        show([report.listing(result)])
    lines = report.notes(result)
    if report.without_labels(result):
        lines.append("these candidates have no decision yet: negwb curate --stream audit")
    for line in lines:
        typer.echo(f"negwb: {line}", err=True)


def _dimensions(by: str) -> list[Dimension]:
    from curation_db.language.sanitize import display_text
    from curation_db.stats.prompt_acceptance import Dimension
    from workbench.errors import UsageError

    names = [name.strip() for name in by.split(",") if name.strip()]
    known = {str(each): each for each in Dimension}
    for name in names:
        if name not in known:
            raise UsageError(f"--by: there is no {display_text(name)!r}", hint=f"use some of: {', '.join(known)}")
    if not names or len(set(names)) != len(names):
        raise UsageError("--by: name each dimension once", hint=f"use some of: {', '.join(known)}")
    return [known[name] for name in names]


def compare(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[A B]", help="Two prompt versions, sets or files, or the number of a comparison."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object; without names an array.")] = False,
) -> None:
    """Report the difference of two prompt versions that negwb generate --compare divided the items between."""
    from curation_db.generation.comparisons import list_comparisons
    from curation_db.storage.store import open_read_only
    from workbench.console.tables import show
    from workbench.errors import NothingToDo
    from workbench.generation.prompts.seen_labels import seen_labels
    from workbench.reports import prompt_comparison as report
    from workbench.reports.prompt_report import prices_of
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.settings.settings import read_settings

    workspace = find_workspace(context.obj)
    prices = prices_of(read_settings(workspace.settings).generate.engines)
    with open_read_only(workspace.database) as store, store.read() as connection:
        stored = list_comparisons(connection)
        if not stored:
            raise NothingToDo("there are no comparisons yet", hint="start one: negwb generate --compare A B")
        if not names:
            _list(stored, as_json=as_json)
            return
        chosen, new, others = _find(stored, names, workspace.root)
        seen = seen_labels(connection)
        versions = (chosen.prompt_a, chosen.prompt_b)
        result = report.comparison_report(
            connection,
            chosen,
            new,
            prices,
            is_seen=lambda image: any(seen.includes(version, image) for version in versions),
        )
    if as_json:
        typer.echo(json.dumps(report.report_json(result)))
    else:
        show([report.listing(result)])
    lines = report.sentences(result)
    if others:
        lines.append(f"further comparisons of these versions with other settings: {', '.join(map(str, others))}")
    lines += [
        f"{version} has {missing:,} examples of another record: whether it has seen these images is not known"
        for version, missing in seen.foreign.items()
        if version in versions
    ]
    lines += [
        f"the decisions that {version} names do not agree with their hash: what it has seen is not certain"
        for version in sorted(seen.edited.intersection(versions))
    ]
    for line in lines:
        typer.echo(f"negwb: {line}", err=True)


def _list(stored: list[PromptComparison], *, as_json: bool) -> None:
    from dataclasses import asdict

    from workbench.console.tables import Listing, show

    if as_json:
        typer.echo(json.dumps([asdict(each) for each in stored]))
        return
    rows = [
        (str(each.id), each.prompt_a, each.prompt_b, each.pipeline, each.created_at[:16].replace("T", " "))
        for each in stored
    ]
    show([Listing("Prompt comparisons, newest first", ("number", "A", "B", "pipeline", "started"), rows, left=5)])


def _find(stored: list[PromptComparison], names: list[str], folder: Path) -> tuple[PromptComparison, Arm, list[int]]:
    """Return the newest comparison of these versions, the arm of the second one, and the numbers of older ones."""
    from curation_db.language.sanitize import display_text
    from workbench.errors import UsageError

    if len(names) == 1 and names[0].isascii() and names[0].isdecimal():
        found = [each for each in stored if each.id == int(names[0])]
        if not found:
            raise UsageError(f"there is no comparison {names[0]}", hint="list them: negwb prompts compare")
        return found[0], "b", []
    if len(names) != 2:
        raise UsageError("two prompt versions are expected, or one number", hint="list them: negwb prompts compare")
    one, other = (_versions(name, folder) for name in names)
    matches: list[tuple[PromptComparison, Arm]] = []
    for each in stored:
        if one(each.prompt_a) and other(each.prompt_b):
            matches.append((each, "b"))
        elif one(each.prompt_b) and other(each.prompt_a):
            matches.append((each, "a"))
    if not matches:
        shown = " and ".join(display_text(name, limit=80) for name in names)
        raise UsageError(f"there is no comparison of {shown}", hint="list them: negwb prompts compare")
    return *matches[0], [each.id for each, _ in matches[1:]]


def _versions(name: str, folder: Path) -> Callable[[str], bool]:
    """Return a test for the versions that a version, or the name or file of a set, stands for.

    A set whose content has changed since the comparison is found by its name.
    """
    from workbench.errors import UsageError
    from workbench.generation.prompts.loader import find_prompts

    try:
        named = "" if "@" in name else find_prompts(name, folder).name
    except UsageError:
        named = ""
    return lambda each: each == name or each.rpartition("@")[0] in {name, named} - {""}
