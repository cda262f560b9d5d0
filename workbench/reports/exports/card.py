"""The dataset card: README.md of a data set repository on the Hugging Face Hub, from the summary of a frozen export.

The metadata are YAML whose values are JSON. Every figure is as of the export's event, so equal records give equal
bytes. Texts of the record are escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from curation_db.exporting.manifest import ITEMS_FILE
from curation_db.language.sanitize import clean, display_text
from workbench.reports.exports import statements
from workbench.reports.publish.model_card import yaml_value
from workbench.reports.report_formats import markdown_text

if TYPE_CHECKING:
    from workbench.reports.exports.summary import ExportSummary

_BAR: Final = 24
_SHOWN: Final = 10
_NAME_WIDTH: Final = 24
_SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_PAIRS: Final = "pairs.jsonl"


def dataset_card(summary: ExportSummary, guidelines: str, *, own_guidelines: bool) -> str:
    """Return the card.

    Args:
        guidelines: Markdown text of the annotation guidelines.
        own_guidelines: Whether they are those of the workspace, not the default text of negwb.
    """
    counts, name = summary.manifest.counts, summary.manifest.name
    tables = {
        "Cue": counts.by_cue,
        "Position of the cue": counts.by_cue_position,
        "Negation type": counts.by_negation_type,
        "Most frequent negated concepts": dict(summary.top_concepts),
    }
    source = "guidelines.md of the workspace" if own_guidelines else "the default text of negwb"
    parts = [
        _front_matter(summary),
        f"# {markdown_text(name)}\n",
        "Written by `negwb export-card`. Intended use and license are not known to negwb: add them.\n",
        _section("Content", [statements.content(summary), statements.selection(summary)]),
        "## Balance\n\n" + "\n".join(_bars(title, table, counts.pairs) for title, table in tables.items() if table),
        _section("People", [statements.annotation(summary), statements.votes_per_pair(summary)]) + _annotators(summary),
        _section("Agreement", [statements.agreement(summary), statements.audit(summary)]),
        _section(
            "Models and judges",
            [
                *statements.generators(summary),
                *map(statements.judge, summary.judges),
                *statements.policies(summary),
            ],
        ),
        _section("Known limits", [*_name_lines(summary), *statements.limitations(summary)]),
        _section("Licenses of the sources", [_license(each) for each in summary.licenses]),
        _files(summary),
        f"## Guidelines\n\nWhat the annotators read, as of this card ({source}):\n",
        _fenced(clean(guidelines), "markdown"),
    ]
    return "\n".join(part for part in parts if part)


def _front_matter(summary: ExportSummary) -> str:
    manifest = summary.manifest
    size = next((name for limit, name in _SIZES if manifest.counts.pairs < limit), "n>1M")
    data = _PAIRS if _PAIRS in manifest.files else ITEMS_FILE
    fields: dict[str, Any] = {
        "pretty_name": display_text(manifest.name, limit=200),
        "tags": ["clip", "negation", "image-captions", "negwb"],
        "size_categories": [size],
        "configs": [{"config_name": "default", "data_files": data}],
    }
    return "\n".join(["---", *(f"{key}: {yaml_value(value)}" for key, value in fields.items()), "---", ""])


def _section(title: str, sentences: Iterable[str]) -> str:
    lines = [f"* {_escaped(each)}\n" for each in sentences if each]
    return f"## {title}\n\n{''.join(lines)}" if lines else ""


def _escaped(sentence: str) -> str:
    """Return `sentence` escaped word by word, so that a long one is not cut."""
    return " ".join(markdown_text(word) for word in sentence.split())


def _bars(title: str, table: Mapping[str, int], total: int) -> str:
    shown = list(table.items())[:_SHOWN]
    if rest := sum(table.values()) - sum(count for _, count in shown):
        shown.append((f"({len(table) - _SHOWN} others)", rest))
    names = [display_text(name, limit=_NAME_WIDTH) for name, _ in shown]
    width = max(map(len, names))
    lines = [
        f"{name:<{width}}  {'#' * round(count / total * _BAR):<{_BAR}}  {count / total:6.1%}  {count:>9,}"
        for name, (_, count) in zip(names, shown, strict=True)
    ]
    return f"{title}\n\n{_fenced(chr(10).join(lines), 'text')}"


def _annotators(summary: ExportSummary) -> str:
    if not summary.annotators:
        return ""
    rows = [
        f"| {markdown_text(each.name)} | {each.accepts:,} | {each.rejects:,} | {each.unsures:,} |\n"
        for each in summary.annotators
    ]
    return "\n| annotator | accept | reject | unsure |\n|---|--:|--:|--:|\n" + "".join(rows)


def _name_lines(summary: ExportSummary) -> list[str]:
    if not summary.items_name_annotators:
        return []
    return [f"The field deciders of {ITEMS_FILE} has names of annotators."]


def _license(entry: Any) -> str:
    if isinstance(entry, dict):
        return ", ".join(str(entry[key]) for key in ("name", "url") if entry.get(key))
    return str(entry)


def _files(summary: ExportSummary) -> str:
    rows = [
        f"| {markdown_text(name)} | {facts.bytes:,} | `{facts.sha256}` |\n"
        for name, facts in sorted(summary.manifest.files.items())
    ]
    return (
        "## Files\n\n| file | bytes | sha256 |\n|---|--:|---|\n"
        + "".join(rows)
        + f"\nHash of all files (export_sha256): `{summary.manifest.export_sha256}`\n\n"
        "`negwb export-verify FOLDER` checks a copy.\n"
    )


def _fenced(text: str, language: str) -> str:
    """Return `text` as a block of code, between fences that it does not contain."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"
