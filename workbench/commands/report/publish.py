"""`negwb report --publish`: write what the model hubs read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from workbench.errors import UsageError

if TYPE_CHECKING:
    from benchmarks.analysis.comparison import Report
    from workbench.reports.publish.hub_results import HubDataset
    from workbench.reports.publish.publication import Publication
    from workbench.workspace.layout import Workspace


def publish(
    workspace: Workspace, report: Report, folder: Path, *, owner: str | None, hub_datasets: Sequence[str]
) -> None:
    """Write the publication of `report` into `folder`, and print what is in it.

    Args:
        hub_datasets: Registered data sets, as TASK=OWNER/NAME[:TASK_ID][@REVISION].
    """
    from benchmarks.errors import BenchError
    from workbench.console.progress_bars import step_bars
    from workbench.reports.publish.models import LOCAL, portable_name
    from workbench.reports.publish.publication import write_publication

    owner = LOCAL if owner is None else owner
    if portable_name(owner) != owner:
        raise UsageError(f"{owner!r} is no name of an account", hint="use letters and digits, with . _ - inside")
    datasets = _datasets(hub_datasets, {row.task for row in report.rows})
    try:
        with step_bars() as bars:
            written = write_publication(
                workspace,
                report,
                folder,
                owner=owner,
                datasets=datasets,
                progress=lambda done, total: bars("writing results", done, total),
            )
    except BenchError as error:
        raise UsageError(error.message, hint=error.hint) from error
    _print(written, report, folder, datasets, is_local=owner == LOCAL)


def _datasets(words: Sequence[str], tasks: set[str]) -> dict[str, HubDataset]:
    from workbench.reports.publish.hub_results import DATASET_FORM, HubDataset

    datasets = {}
    for word in words:
        task, _, name = word.partition("=")
        if task not in tasks:
            raise UsageError(f"no result on the task {task!r}", hint=f"measured: {', '.join(sorted(tasks))}")
        try:
            datasets[task] = HubDataset.parse(name)
        except ValueError as error:
            raise UsageError(str(error), hint=f"for example: --hub-dataset {task}={DATASET_FORM}") from error
    return datasets


def _print(
    written: Publication, report: Report, folder: Path, datasets: dict[str, HubDataset], *, is_local: bool
) -> None:
    from benchmarks.training_overlap import overlap_text
    from curation_db.language.sanitize import display_text
    from workbench.reports.publish.folder import RECORD
    from workbench.reports.publish.models import LOCAL

    counts = f"{len(written.models):,} models, {len(report.rows):,} results, {len(written.files):,} files and {RECORD}"
    typer.echo(f"{display_text(str(folder), limit=500)}: {counts}")
    doubtful = [row for row in report.rows if written.cautions[row.run]]
    if doubtful:
        typer.echo(f"{len(doubtful):,} results have cautions, which every card and record repeats:")
        kinds = {each.kind: 0 for row in doubtful for each in written.cautions[row.run]}
        for row in doubtful:
            for kind in {each.kind for each in written.cautions[row.run]}:
                kinds[kind] += 1
        typer.echo("  " + ", ".join(f"{kind}: {number:,}" for kind, number in kinds.items()))
    for each in report.left_out:
        line = f"{each.task} of {each.model} is left out: {overlap_text(each.overlap, each.images)}"
        typer.echo(f"{display_text(line, limit=500)}; --allow-overlap publishes it with a caution")
    left_out = sorted({row.task for row in report.rows} - set(written.on_hub))
    if left_out:
        tasks = display_text(", ".join(left_out), limit=300)
        why = (
            "no data set is named with --hub-dataset"
            if not datasets
            else "no data set is named, a caution blocks, or two versions were run"
        )
        typer.echo(f".eval_results has no score on {tasks}: {why}")
    if is_local:
        typer.echo(f"the ids of your models begin with {LOCAL}/: name your account with --owner")
