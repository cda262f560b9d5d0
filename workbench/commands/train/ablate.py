"""`negwb ablate`: the same training on several selections of pairs, to measure what a part of the curation is worth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.commands.train.progress import print_line
from workbench.console.key_values import pairs

if TYPE_CHECKING:
    from workbench.jobs.training.ablation import AblationPlan, ArmRun
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb ablate --dry-run                              the arms with their pairs; nothing is written
  negwb ablate set-001                                all arms of an export, with the recipe of negwb.toml
  negwb ablate set-001 --arm present --recipe negwb   accepted pairs with and without those rejected as present
  negwb ablate set-001 --seed 1                       once more with another seed; the names end with -seed-1

\b
Arms: accepted; one per reason (present, rest_false ...), with the accepted pairs and those rejected for it; and
without-auto, without the pairs that a policy accepted and no person decided. An arm that would be empty or equal to
another one is named and left out.

\b
All arms take the same number of updates: that of the recipe, or of its epochs over the accepted pairs. With equal
epochs an arm with more pairs would train longer, and the comparison would measure that, too. For the same reason
nothing stops early (patience). To compare the runs: negwb bench run TASK --model ..., then negwb report.

\b
Exports and runs are named like set-001.ablate-present; the same command continues what is unfinished.
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(ablate)


def ablate(
    context: typer.Context,
    export: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPORT", help="Export of the accepted pairs.", show_default="the accepted pairs of now"
        ),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(metavar="ARM", help="Arm besides accepted, repeatable.", show_default="all that differ"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Base model, as for negwb train.", show_default="base")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Recipe of all arms, as for negwb train.", show_default="as for negwb train"),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Updates of every arm.", show_default="those of the recipe")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every arm.", show_default="that of the recipe")] = None,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda.")] = "cpu",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any recipe setting, for all arms; repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the arms, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train on the accepted pairs, on these and pairs rejected for a reason, and without automatic acceptance.

    Prepares an export for each arm and trains them one after the other; negwb bench run and negwb report compare them.
    """
    from workbench.jobs.training.ablation import make_plan, prepare_runs
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.models import require_torch

    workspace = find_workspace(context.obj)
    plan = make_plan(workspace, export, arm or [])
    for each in plan.omitted:
        print_line(f"negwb: {each.name} is left out: {each.why}")
    if dry_run:
        _print_plan(plan, as_json=as_json)
        return
    require_torch()  # before an export is frozen
    options = {name: value for name, value in (("steps", steps), ("seed", seed)) if value is not None}
    runs = prepare_runs(
        workspace, plan, model=model, recipe=recipe, settings={**pairs(settings or []), **options}, device=device
    )
    _train(workspace, runs)
    _print_runs(plan, runs, as_json=as_json)


def _train(workspace: Workspace, runs: list[ArmRun]) -> None:
    """Train the unfinished runs one after the other; runs that were refused before their first step are removed."""
    from trainers.errors import RunRefused
    from workbench.commands.train import train_run
    from workbench.jobs.training.runs import discard_run, resume

    left = [run for run in runs if not run.is_done]
    try:
        for number, run in enumerate(left, 1):
            print_line(f"negwb: arm {run.arm.name}: {number} of {len(left)} to train")
            train_run(resume(workspace, run.folder.name))
    except RunRefused:
        for run in left:
            if not run.is_done:
                discard_run(run.folder)
        raise
    except KeyboardInterrupt:
        print_line("negwb: the same negwb ablate continues with this arm and those after it")
        raise


def _print_plan(plan: AblationPlan, *, as_json: bool) -> None:
    from workbench.console.number_format import count
    from workbench.console.tables import Listing, show

    if as_json:
        typer.echo(json.dumps(_plan_json(plan)))
        return
    rows = [(arm.name, count(arm.pairs), f"+{arm.added:,}", f"-{arm.removed:,}") for arm in plan.arms]
    title = f"Arms of {plan.export or 'the accepted pairs of now'}, event {plan.event}"
    show([Listing(title, ("arm", "pairs", "added", "removed"), rows)])


def _plan_json(plan: AblationPlan) -> dict[str, Any]:
    from dataclasses import asdict

    arms = [{"arm": arm.name, "pairs": arm.pairs, "added": arm.added, "removed": arm.removed} for arm in plan.arms]
    omitted = [asdict(each) for each in plan.omitted]
    return {"event": plan.event, "export": plan.export, "arms": arms, "omitted": omitted}


def _print_runs(plan: AblationPlan, runs: list[ArmRun], *, as_json: bool) -> None:
    from trainers.run_files import read_run
    from workbench.commands.train import run_json
    from workbench.console.number_format import count
    from workbench.console.tables import Listing, show

    states = [read_run(run.folder) for run in runs]
    if as_json:
        report = _plan_json(plan) | {"export": runs[0].export}
        for row, run, state in zip(report["arms"], runs, states, strict=True):
            row |= {"export": run.export, **run_json(run.folder, state)}
        typer.echo(json.dumps(report))
    else:
        rows = [
            (run.arm.name, run.folder.name, count(run.arm.pairs), count(state.result.get("steps", 0)))
            for run, state in zip(runs, states, strict=True)
        ]
        show([Listing("Arms", ("arm", "run", "pairs", "updates"), rows, left=2)])
    models = " ".join(f"--model {run.folder.name}" for run in runs)
    print_line(f"negwb: next: negwb bench run TASK --model base {models}")
    print_line("then compare them with: negwb report", indent=7)
