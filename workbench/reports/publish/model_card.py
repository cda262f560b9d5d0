"""The model card: README.md of a model repository on the Hugging Face Hub, with its metadata.

The metadata are YAML whose values are JSON, which is YAML, so no YAML library is needed. The figures come from the
tables of the report, the cautions stand before them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.analysis.comparison import ComparisonRow, Report
from benchmarks.training_overlap import overlap_text
from curation_db.exporting.manifest import ManifestCounts
from curation_db.language.sanitize import display_text
from trainers.errors import TrainerError
from trainers.run_files import read_run
from trainers.settings import recipe_line
from workbench.reports.benchmark_report import listings
from workbench.reports.publish.cautions import Caution
from workbench.reports.publish.models import PublishedModel
from workbench.reports.report_formats import as_markdown, markdown_text
from workbench.workspace.layout import Workspace
from workbench.workspace.models import HUB, short_name
from workbench.workspace.trained_runs import TrainedExport, trained_export

_TASK = {"type": "zero-shot-image-classification", "name": "Choice of texts or images by a CLIP model"}
_NOT_YAML = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SHOWN_COUNTS = 8


def model_card(
    workspace: Workspace,
    report: Report,
    model: PublishedModel,
    cautions: Mapping[str, Sequence[Caution]],
    *,
    tasks_on_hub: Sequence[str] = (),
) -> str:
    """Return README.md of the model's repository.

    Args:
        report: The report with the rows of all models.
        cautions: By the name of the result (`ComparisonRow.run`).
        tasks_on_hub: Tasks whose score is in `.eval_results/`.
    """
    export, problem = _export_of(workspace, model)
    parts = [
        _front_matter(model, export, cautions),
        f"# {markdown_text(model.name)}\n",
        "Written by `negwb report --publish`. License and intended use are not known to negwb: add them.\n",
        _section("Model", _model_lines(model)),
        _section("Training", [*_training_lines(model, export), *problem]),
        _section("Before you cite a figure", _caution_lines(report, model, cautions)),
        "## Results\n\n" + as_markdown(listings(_report_of(report, model))),
        _section("Files", _file_lines(tasks_on_hub)),
    ]
    return "\n".join(part for part in parts if part)


def _export_of(workspace: Workspace, model: PublishedModel) -> tuple[TrainedExport | None, list[str]]:
    if model.run is None:
        return None, []
    try:
        return trained_export(workspace, model.run), []
    except TrainerError as error:
        return None, [markdown_text(error.message)]


def _front_matter(
    model: PublishedModel, export: TrainedExport | None, cautions: Mapping[str, Sequence[Caution]]
) -> str:
    results = [_index_entry(row) for row in model.headlines if not any(each.blocks for each in cautions[row.run])]
    fields: dict[str, Any] = {
        "library_name": "open_clip",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["clip", "negation", "negwb"],
    }
    if export is not None and (base := export.config.model).startswith(f"{HUB}:"):
        fields["base_model"] = base.removeprefix(f"{HUB}:")
    if results:
        fields["model-index"] = [{"name": model.directory, "results": results}]
    return "\n".join(["---", *(f"{key}: {yaml_value(value)}" for key, value in fields.items()), "---", ""])


def _index_entry(row: ComparisonRow) -> dict[str, Any]:
    metric = f"{row.metric.replace('_', ' ')}, {row.protocol} protocol of negwb"
    return {
        "task": _TASK,
        "dataset": {"name": display_text(row.task, limit=200), "type": display_text(row.task, limit=200)},
        "metrics": [{"type": row.metric, "name": metric, "value": row.accuracy.estimate}],
    }


def yaml_value(value: object) -> str:
    """Return `value` as JSON that is YAML too: without the characters and the surrogates that YAML refuses."""
    return _NOT_YAML.sub("\ufffd", json.dumps(value, ensure_ascii=False, allow_nan=False))


def _section(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "".join(f"* {line}\n" for line in lines) if lines else ""


def _model_lines(model: PublishedModel) -> list[str]:
    row = model.rows[0]
    facts = {"architecture": row.arch, "activation": row.activation, "precision": row.precision, "hash": model.hash}
    routed = ["routed: the base encodes texts that negate nothing"] if row.routed else []
    return [*(f"{name}: {markdown_text(value)}" for name, value in facts.items()), *routed]


def _training_lines(model: PublishedModel, export: TrainedExport | None) -> list[str]:
    if model.run is None or export is None:
        return []
    config, result = export.config, read_run(model.run).result
    lines = [f"run {model.run.name}, from {short_name(config.model)}, seed {config.settings.seed}"]
    if config.recipe is not None:
        lines.append(recipe_line(config.recipe, config.settings))
    lines.append(f"steps: {result.get('steps', '?')}, batch: {config.settings.batch}, lr: {config.settings.lr}")
    if export.manifest is None:
        lines.append(f"data: {export.problem}")
    else:
        lines.append(f"data: {export.name}, hash {export.manifest.export_sha256}, {_pairs(export.manifest.counts)}")
        lines += _count_lines(export.manifest.counts)
    return [markdown_text(line) for line in lines]


def _pairs(counts: ManifestCounts) -> str:
    return f"{counts.pairs:,} pairs of an image and a negated caption, {counts.images:,} images"


def _count_lines(counts: ManifestCounts) -> Iterator[str]:
    tables = {"cue": counts.by_cue, "type": counts.by_negation_type, "generator": counts.by_generator}
    for name, table in tables.items():
        most = sorted(table.items(), key=lambda entry: (-entry[1], entry[0]))
        shown = [f"{value} {number:,}" for value, number in most[:_SHOWN_COUNTS]]
        rest = [f"{len(most) - _SHOWN_COUNTS} more"] if len(most) > _SHOWN_COUNTS else []
        if shown:
            yield f"by {name}: {', '.join([*shown, *rest])}"


def _caution_lines(report: Report, model: PublishedModel, cautions: Mapping[str, Sequence[Caution]]) -> list[str]:
    lines: dict[str, list[str]] = {}
    for each in report.left_out:
        if each.model_hash == model.hash:
            place = f"{markdown_text(each.task)} (left out of the results)"
            lines.setdefault(markdown_text(overlap_text(each.overlap, each.images)), []).append(place)
    for row in model.rows:
        for caution in cautions[row.run]:
            kept_out = " (not in the metadata and not in `.eval_results/`)" if caution.blocks else ""
            place = f"{markdown_text(row.task)}, {markdown_text(row.protocol)}{kept_out}"
            lines.setdefault(markdown_text(caution.text), []).append(place)
    return [f"{'; '.join(dict.fromkeys(places))}: {text}" for text, places in lines.items()] or [
        "No caution on these results."
    ]


def _report_of(report: Report, model: PublishedModel) -> Report:
    """Return the rows of the model, and on the same items those of the model that it is compared with."""
    runs = {row.run for row in model.rows}
    places = {(row.task, row.dataset_sha256, row.protocol) for row in model.rows}
    rows = [
        row
        for row in report.rows
        if row.run in runs or (row.model == report.reference and (row.task, row.dataset_sha256, row.protocol) in places)
    ]
    left_out = tuple(each for each in report.left_out if each.model_hash == model.hash)
    return replace(report, rows=tuple(rows), left_out=left_out)


def _file_lines(tasks_on_hub: Sequence[str]) -> list[str]:
    if tasks_on_hub:
        hub = f"`.eval_results/`: {', '.join(map(markdown_text, tasks_on_hub))}; all other tasks are left out"
    else:
        hub = "`.eval_results/`: none"
    return [
        f"{hub}, because the Hub shows scores only of data sets that are registered as a benchmark",
        "Every answer to every item, and all intervals: the records of Every Eval Ever in `data/` of the publication",
    ]


def card_path(model: PublishedModel) -> Path:
    """Return the path of the card in the publication."""
    return Path("models", model.developer, model.directory, "README.md")
