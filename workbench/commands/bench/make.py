"""`negwb bench make`: freeze a benchmark from the record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.errors import NegwbError, NothingToDo, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.frozen.folder import FrozenBenchmark
    from benchmarks.frozen.quotas import Quota
    from workbench.console.tables import Listing
    from workbench.jobs.benchmarks.making import BenchmarkPlan
    from workbench.jobs.benchmarks.record_labels import BenchmarkSettings
    from workbench.workspace.layout import Workspace

EPILOG = """\b
Examples:
  negwb bench make quiz --dry-run                        what the record has for it, and what is lacking
  negwb bench make quiz --quota 'cue=*:40%' --quota type=action:50
  negwb bench make pairs --twins                         two images and two captions per item
  negwb bench make quiz --votes 1                        one annotator; the benchmark says so
  negwb bench run quiz                                   then evaluate models on it

\b
Make it before the first export: images of existing exports are left out, and later exports leave out its images.
Exit code 5: too few items can be balanced; nothing is written.
"""


def make(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new benchmark.")],
    items: Annotated[int, typer.Option(min=4, help="Maximum number of items.")] = 1_000,
    votes: Annotated[
        int, typer.Option(min=1, help="People who must agree on a label that no adjudicator decided.")
    ] = 2,
    quota: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CUT=VALUE:LIMIT",
            help="Maximum number or share of the items with a value, repeatable: cue=no:50, type=absence:40%, cue=*:30%"
            " (each cue). Cuts: cue, type, position, source, concept.",
            show_default="no limit",
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            min=0.01, max=0.5, help="How far above 0.5 the upper 95 % limit of a blind baseline's score may be."
        ),
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the selection; equal records and seeds give equal bytes.")] = 0,
    with_exported: Annotated[
        bool, typer.Option("--with-exported", help="Also use images of existing exports; the benchmark says so.")
    ] = False,
    twins: Annotated[
        bool,
        typer.Option(
            "--twins",
            help="Two images and both captions per item; the annotated objects show which image has the denied thing.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; show what can be made.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Freeze a benchmark from the record: is the negated or the affirmed caption true of an image?

    Labels are candidates that people accepted, or rejected because the denied thing is in the image. Each cue and type
    has as many true negated as true affirmed captions, one item per image, and no blind baseline is better than chance.
    """
    from workbench.console.progress_bars import step_bars
    from workbench.console.tables import show
    from workbench.jobs.benchmarks.making import make_plan, write_benchmark
    from workbench.jobs.benchmarks.record_labels import BenchmarkSettings
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    settings = BenchmarkSettings(
        votes=votes,
        items=items,
        margin=margin,
        quotas=tuple(_quota(text) for text in quota or ()),
        seed=seed,
        with_exported=with_exported,
    )
    if twins:
        if quota or margin != BenchmarkSettings().margin:
            raise UsageError("--quota and --margin do not apply to --twins", hint="no blind model has twins right")
        _make_twins(workspace, name, settings, dry_run=dry_run, as_json=as_json)
        return
    with step_bars(lines=True) as bars:
        plan = make_plan(workspace, name, settings, bars)
        try:
            frozen = None if dry_run or plan.selection is None else write_benchmark(workspace, plan, bars)
        except OSError as error:
            raise NegwbError(f"cannot write {error.filename or name}: {error.strerror or error}") from error
    if as_json:
        typer.echo(json.dumps(_report(plan, frozen), allow_nan=False))
    elif dry_run:
        show(_listings(plan))
    if plan.lacking is not None and not dry_run:
        raise NothingToDo(plan.lacking.message, hint=f"see what is lacking: negwb bench make {name} --dry-run")
    if as_json:
        return
    if frozen is not None:
        typer.echo(str(frozen.folder))
    for line in _lines(plan, frozen):
        typer.echo(line, err=frozen is not None)


def _make_twins(workspace: Workspace, name: str, settings: BenchmarkSettings, *, dry_run: bool, as_json: bool) -> None:
    """Freeze twins, or show what can be made."""
    from workbench.console.progress_bars import step_bars
    from workbench.jobs.benchmarks.twin_making import make_twin_plan, write_twins

    with step_bars(lines=True) as bars:
        plan = make_twin_plan(workspace, name, settings, bars)
        try:
            frozen = write_twins(workspace, plan, bars) if plan.chosen and not dry_run else None
        except OSError as error:
            raise NegwbError(f"cannot write {error.filename or name}: {error.strerror or error}") from error
    if as_json:
        report = {
            "name": plan.name,
            "path": None if frozen is None else str(frozen.folder),
            "sha256": None if frozen is None else frozen.sha256,
            "event": plan.record.event_seq,
            "accepted": plan.accepted,
            "annotated_images": plan.annotated,
            "omitted": {why.name.lower(): count for why, count in plan.record.omitted.items()},
            **plan.facts(),
        }
        typer.echo(json.dumps(report, allow_nan=False))
    if not plan.chosen:
        missing = "image with annotated objects" if not plan.annotated else "image that has what a caption denies"
        raise NothingToDo(
            f"no twins: {plan.accepted:,} accepted candidates can be used, and no {missing}",
            hint="import the objects of the images (COCO's instances_*.json): negwb import --help",
        )
    if as_json:
        return
    if frozen is not None:
        typer.echo(str(frozen.folder))
    done = f"froze {plan.name}:" if frozen else f"{plan.name} would have"
    lines = [f"negwb: {done} {len(plan.chosen):,} pairs of images, of {plan.accepted:,} accepted candidates"]
    lines += [f"       {cut}: {_counted(counts)}" for cut, counts in plan.facts()["counts"].items()]
    lines += [f"       limit: {line}" for line in plan.limits()]
    if frozen is None:
        lines += [f"       left out: {count:,}, {why}" for why, count in plan.record.omitted.items()]
    else:
        lines.append(f"       exports leave out its images from now on; next: negwb bench run {plan.name}")
    for line in lines:
        typer.echo(line, err=frozen is not None)


def _quota(text: str) -> Quota:
    from benchmarks.frozen.quotas import Quota

    try:
        return Quota.parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _report(plan: BenchmarkPlan, frozen: FrozenBenchmark | None) -> dict[str, Any]:
    from workbench.jobs.benchmarks.making import facts

    lacking = plan.lacking
    return {
        "name": plan.name,
        "path": None if frozen is None else str(frozen.folder),
        "sha256": None if frozen is None else frozen.sha256,
        "event": plan.record.event_seq,
        "possible": lacking is None,
        "needed": plan.needed,
        "usable": plan.labels(plan.record.usable.values()),
        "balanced": lacking.balanced if lacking else plan.selection.balanced if plan.selection else 0,
        "omitted": {why.name.lower(): count for why, count in plan.record.omitted.items()},
        "lacking": None if lacking is None else lacking.message,
        **({} if plan.selection is None else facts(plan, plan.selection)),
    }


def _listings(plan: BenchmarkPlan) -> list[Listing]:
    from workbench.console.tables import Listing

    usable = plan.labels(plan.record.usable.values())
    balanced = plan.lacking.balanced if plan.lacking else plan.selection.balanced if plan.selection else 0
    rows = [(f"usable: the {truth} caption is true", count) for truth, count in usable.items()]
    rows += [(f"left out: {why}", count) for why, count in plan.record.omitted.items()]
    rows += [
        ("items that can be balanced: one per image, equally many of both by cue and type", balanced),
        (f"items that a margin of {plan.settings.margin:g} needs", plan.needed),
        ("items selected", len(plan.chosen)),
    ]
    return [Listing("Decided candidates", ("", ""), [(text, f"{count:,}") for text, count in rows])]


def _lines(plan: BenchmarkPlan, frozen: FrozenBenchmark | None) -> list[str]:
    """Return the summary of a benchmark, or what is lacking."""
    from workbench.console.number_format import percent

    if plan.lacking is not None:
        return [f"negwb: {plan.lacking.message}", *(f"       {line}" for line in _advice(plan))]
    if plan.selection is None:
        return []
    done = f"froze {plan.name}:" if frozen else f"{plan.name} would have"
    baselines = plan.selection.baselines
    worst = max(baselines, key=lambda name: baselines[name].high)
    shares = ", ".join(f"{name} {percent(share.estimate)}" for name, share in baselines.items())
    power = " / ".join(f"{percent(found)}" for found in plan.selection.power.values())
    discordant = " / ".join(f"{share:.0%}" for share in plan.selection.power).replace("%", " %")
    lines = [
        f"negwb: {done} {len(plan.chosen):,} items, one per image"
        f" (event {plan.record.event_seq:,}, seed {plan.settings.seed})",
        *(f"       {cut}: {_counted(plan.counts()[cut])}" for cut in ("cue", "type")),
        f"       right without the image, %: {shares}",
        f"       the highest upper 95 % limit is {percent(baselines[worst].high)} ({worst})",
        f"       power 80 %: where only one of two models has {discordant} of the items right, a difference of {power}"
        " points is found",
        *(f"       limit: {line}" for line in plan.limits()),
    ]
    if frozen is None:
        return [*lines, *(f"       {line}" for line in _advice(plan))]
    return [
        *lines,
        f"       sha256 {frozen.sha256}",
        f"       exports leave out its images from now on; next: negwb bench run {plan.name}",
    ]


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value or 'none'} {count:,}" for value, count in counts.items())


def _advice(plan: BenchmarkPlan) -> list[str]:
    """Return how to get more items, the greatest gain first."""
    from workbench.jobs.benchmarks.record_labels import Omission

    usable = plan.labels(plan.record.usable.values())
    scarce = min(usable, key=lambda truth: usable[truth])
    advice = {
        Omission.TOO_FEW_VOTES: "let more people decide: negwb queue overlap 2+1, then negwb curate -a NAME",
        Omission.EXPORTED: "images of exports can be used with --with-exported; models trained on them have seen them",
        Omission.NO_IMAGE: "set the image folders: [pictures] in negwb.toml",
    }
    lines = [
        f"{plan.record.omitted[why]:,} left out: {advice[why]}"
        for why in sorted(plan.record.omitted, key=lambda why: -plan.record.omitted[why])
        if why in advice
    ]
    return [f"the {scarce} caption is true of the fewest, {usable[scarce]:,}, which limits the balance", *lines]
