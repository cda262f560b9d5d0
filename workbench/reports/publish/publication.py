"""Writes the publication of a report: a folder with what the hubs read.

    models/DEVELOPER/MODEL/README.md             model card, the root of a repository on the Hugging Face Hub
    models/DEVELOPER/MODEL/.eval_results/*.yaml  its scores for the leaderboards of the Hub
    data/TASK/DEVELOPER/MODEL/UUID.json          records of Every Eval Ever: a result
    data/TASK/DEVELOPER/MODEL/UUID_samples.jsonl and its items

The content depends on results, runs and exports only, so that a repeated publication is equal byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.analysis.comparison import ComparisonRow, Report
from benchmarks.results import StoredResult, read
from workbench.reports.publish.cautions import Caution, cautions
from workbench.reports.publish.every_eval_ever import Record, evaluation_log, instances
from workbench.reports.publish.folder import replace_folder
from workbench.reports.publish.hub_results import HubDataset, hub_results
from workbench.reports.publish.model_card import card_path, model_card, yaml_value
from workbench.reports.publish.models import PublishedModel, portable_name, published_models
from workbench.workspace.layout import Workspace
from workbench.workspace.operations import RESULTS
from workbench.workspace.trained_runs import runs_by_model


@dataclass(frozen=True, slots=True)
class Publication:
    """What was written."""

    models: tuple[PublishedModel, ...]
    files: tuple[str, ...]
    cautions: Mapping[str, tuple[Caution, ...]]
    """By the name of the result."""
    on_hub: tuple[str, ...]
    """Tasks with a score in `.eval_results/` of any model."""


def write_publication(
    workspace: Workspace,
    report: Report,
    folder: Path,
    *,
    owner: str,
    datasets: Mapping[str, HubDataset],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Publication:
    """Write all results of `report` into `folder`.

    Args:
        owner: Account on the hubs that the models of runs belong to.
        datasets: Registered data sets of tasks.
        progress: Called with the number of results that are written and their total.

    Raises:
        BenchError: A file of items was changed.
        UsageError: The folder cannot be written, or has files of others.
    """
    models = published_models(report, runs_by_model(workspace), owner)
    known = {row.run: cautions(row, report, _stored(workspace, row).result) for row in report.rows}
    done: list[str] = []
    on_hub: dict[str, None] = {}

    def write(draft: Path) -> None:
        for model in models:
            for row in model.rows:
                progress(len(done), len(report.rows))
                dataset = datasets[row.task].id if row.task in datasets else None
                stored = _stored(workspace, row)
                record = Record(model=model, row=row, stored=stored, cautions=known[row.run], dataset=dataset)
                _write_record(draft, record)
                done.append(row.run)
            written = _write_hub_results(workspace, draft, model, known, datasets)
            on_hub.update(dict.fromkeys(written))
            _write(draft / card_path(model), model_card(workspace, report, model, known, tasks_on_hub=written))
        progress(len(done), len(report.rows))

    files = replace_folder(folder, write)
    return Publication(tuple(models), tuple(files), known, tuple(on_hub))


def _stored(workspace: Workspace, row: ComparisonRow) -> StoredResult:
    return read(workspace.root / RESULTS / f"{row.run}.json")


def _write_record(draft: Path, record: Record) -> None:
    path = draft / record.samples_path
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, lines = hashlib.sha256(), 0
    with path.open("xb") as file:  # two results never share a file
        for instance in instances(record):
            line = (json.dumps(instance, allow_nan=False) + "\n").encode()
            digest.update(line)
            file.write(line)
            lines += 1
    log = evaluation_log(record, samples_sha256=digest.hexdigest(), samples=lines)
    _write(draft / f"{record.path}.json", json.dumps(log, indent=2, allow_nan=False) + "\n")


def _write_hub_results(
    workspace: Workspace,
    draft: Path,
    model: PublishedModel,
    known: Mapping[str, tuple[Caution, ...]],
    datasets: Mapping[str, HubDataset],
) -> list[str]:
    """Write the scores of one model for leaderboards; return their tasks.

    A task with results on two data sets is left out: which of them is registered is not known.
    """
    chosen: dict[str, ComparisonRow] = {}
    results = Counter(row.task for row in model.headlines)
    for row in model.headlines:
        if row.task in datasets and results[row.task] == 1 and not any(caution.blocks for caution in known[row.run]):
            chosen[row.task] = row
    for task, row in chosen.items():
        created = _stored(workspace, row).result["created"]
        content = hub_results(row, datasets[task], created, known[row.run])
        path = draft / card_path(model).parent / ".eval_results" / f"{portable_name(task)}.yaml"
        _write(path, yaml_value(content) + "\n")
    return list(chosen)


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="\n")
