"""`negwb generate tune`: write the next version of a prompt set, with decisions of people as examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curation_db.generation.tuning_examples import TuningExample
    from workbench.generation.prompts.loader import PromptSet
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb generate tune                       the next version of the prompt set of negwb.toml; shows it, and asks
  negwb generate tune --from mine.toml --accepted 12 --rejected 6 --yes
  negwb generate tune --dry-run --json      only show it
  negwb generate --compare negwb-p1-1 negwb-p1-2 --limit 400   then measure it

\b
A keyed hash divides the images in two halves. Examples come from the reviewed decisions and the audit labels of one
half; negwb prompts and negwb generate --compare measure the version on the other half alone. Accepted examples are
balanced over negation type and cue, rejected ones over reason and type. The file names the events of its decisions.
"""


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command(epilog=_EPILOG)(tune)


def tune(
    context: typer.Context,
    pipeline: Annotated[str, typer.Option(metavar="P1|P2", help="Pipeline of the prompt set.")] = "P1",
    base: Annotated[
        str, typer.Option("--from", metavar="SET", help="Prompt set or its file.", show_default="as in negwb.toml")
    ] = "",
    accepted: Annotated[int, typer.Option(min=0, max=100, help="Most accepted examples.")] = 8,
    rejected: Annotated[int, typer.Option(min=0, max=100, help="Most rejected examples.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write; it must not exist.", show_default="prompts/NAME.toml"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without a question.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; without --yes nothing is written.")
    ] = False,
) -> None:
    """Write the next version of a prompt set, with accepted examples and with rejected ones and their reasons."""
    from curation_db.atomic_write import create_file
    from curation_db.generation.tuning_examples import draw_examples, tuning_decisions
    from curation_db.storage.store import open_read_only
    from workbench.errors import NothingToDo, UsageError
    from workbench.generation.prompts.loader import find_prompts, parse_prompts
    from workbench.generation.prompts.tuning import check_tunable, tuned_content, usable_reasons
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    before = find_prompts(base or _default_set(workspace, pipeline), workspace.root)
    check_tunable(before)
    with open_read_only(workspace.database) as store, store.read() as connection:
        decisions = tuning_decisions(connection, str(before.pipeline))
    examples = draw_examples(decisions, accepted=accepted, rejected=rejected, reasons=usable_reasons(before), seed=seed)
    if not examples:
        raise NothingToDo(
            f"no decision about a candidate of {before.pipeline} can be an example",
            hint="decide some first: negwb curate; half of the images never give examples",
        )
    path, name = _target(workspace, before, output)
    after = parse_prompts(tuned_content(before, examples, name=name, seed=seed), str(path))
    if not as_json:
        _show(before, after, examples, len(decisions))
    writes = not dry_run and (yes or (not as_json and typer.confirm(f"write {path}?", default=False, err=True)))
    if writes:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not create_file(path, after.content.encode()):
            raise UsageError(f"{path} exists", hint="name another file with --output")
    if as_json:
        typer.echo(json.dumps(_json(before, after, examples, path, written=writes)))
    elif writes:
        typer.echo(f"negwb: wrote {path} ({after.version})", err=True)
        new = path if output else after.name
        typer.echo(f"negwb: measure it: negwb generate --compare {base or before.name} {new} --limit 400", err=True)


def _default_set(workspace: Workspace, pipeline: str) -> str:
    from workbench.errors import UsageError
    from workbench.workspace.settings.engines import Pipeline
    from workbench.workspace.settings.settings import read_settings

    try:
        chosen = Pipeline(pipeline.upper())
    except ValueError:
        raise UsageError(f"there is no pipeline {pipeline!r}", hint="use P1 or P2") from None
    return read_settings(workspace.settings).generate.prompts(chosen)


def _target(workspace: Workspace, before: PromptSet, output: Path | None) -> tuple[Path, str]:
    """Return the file to write, and the name of the new set."""
    from workbench.errors import UsageError
    from workbench.generation.prompts.loader import WORKSPACE_FOLDER, prompt_set_names, workspace_sets
    from workbench.generation.prompts.tuning import next_name

    taken = {*prompt_set_names(), *workspace_sets(workspace.root)}
    name = next_name(before.name, taken)
    path = output or workspace.root / WORKSPACE_FOLDER / f"{name}.toml"
    if path.exists():
        raise UsageError(f"{path} exists", hint="name another file with --output")
    return path, name


def _show(before: PromptSet, after: PromptSet, examples: Sequence[TuningExample], decisions: int) -> None:
    from curation_db.language.sanitize import counted, display_text
    from workbench.generation.prompts.tuning import diff_lines

    for mark, line in diff_lines(before, after):
        typer.echo("@@" if mark == "@" else f"{mark} {display_text(line)}".rstrip())
    good = sum(each.accepted for each in examples)
    audited = sum(each.audited for each in examples)
    typer.echo(
        f"negwb: {good} accepted and {len(examples) - good} rejected examples of {counted(decisions, 'decision')}; "
        f"{counted(audited, 'audit label')} among them",
        err=True,
    )


def _json(
    before: PromptSet, after: PromptSet, examples: Sequence[TuningExample], path: Path, *, written: bool
) -> dict[str, Any]:
    from workbench.generation.prompts.tuning import diff_lines

    return {
        "file": str(path),
        "written": written,
        "base": before.version,
        "version": after.version,
        "decisions_sha256": after.tuned.decisions_sha256 if after.tuned else None,
        "examples": [
            {
                "event": each.uid,
                "candidate": each.candidate_id,
                "accepted": each.accepted,
                "reason": each.reason,
                "cue": each.cue,
                "type": each.negation_type,
                "audit": each.audited,
                "text": each.text,
            }
            for each in examples
        ],
        "diff": [f"{mark}{line}" for mark, line in diff_lines(before, after)],
    }
