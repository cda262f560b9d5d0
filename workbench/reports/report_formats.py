"""The report as Markdown, CSV and ASCII text, from the same rows as its tables."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from benchmarks.analysis.comparison import ComparisonRow, Report, SegmentationRow, Share, Slice, SliceMasks
from benchmarks.analysis.statistics import PairedDifference
from curation_db.language.sanitize import display_text
from curation_db.stats.intervals import Interval
from workbench.console.tables import Listing, plain_text
from workbench.reports.interval_bars import ASCII as BARS_IN_ASCII
from workbench.reports.judged_scores import corrected_share_of

_ROW_COLUMNS = ("kind", "task", "version", "dataset_sha256", "protocol", "metric", "model", "model_hash")
_COMPUTATION_COLUMNS = ("device", "precision", "nan", "ties", "equal_scores", "verdicts")
_SHARE_COLUMNS = ("correct", "n", "share", "low", "high")
_DIFFERENCE_COLUMNS = ("difference", "difference_low", "difference_high", "gained", "lost", "p", "p_holm")
_DOUBT_COLUMNS = ("interval_disagrees", "detectable")
_DETAIL_COLUMNS = ("affirmative_share", "source", *_COMPUTATION_COLUMNS)
_FIGURE_COLUMNS = (*_SHARE_COLUMNS, *_DIFFERENCE_COLUMNS, *_DOUBT_COLUMNS)
CSV_COLUMNS = (*_ROW_COLUMNS, "is_base", "is_reference", "cut", "value", *_FIGURE_COLUMNS, *_DETAIL_COLUMNS)
_LIMIT = 400
_ASCII = str.maketrans({"–": "-", "…": "..", "≠": "!=", "·": ";", "—": "-", **BARS_IN_ASCII})
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>!|~&$@:])")
_FORMULA = ("=", "+", "-", "@")
"""First characters of a text that a spreadsheet would run as a formula."""


def as_ascii(listings: Sequence[Listing]) -> str:
    """Return the tables as plain columns in ASCII; other characters of the data are written as escapes."""
    text = "\n".join(plain_text(listing) for listing in listings)
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def as_markdown(listings: Sequence[Listing]) -> str:
    """Return the tables in GitHub's Markdown, numbers aligned right, the characters of the data escaped."""
    parts = []
    for listing in listings:
        rule = ["---" if at < listing.left else "--:" for at in range(len(listing.headers))]
        lines = [_markdown_row(listing.headers), "|" + "|".join(rule) + "|", *map(_markdown_row, listing.rows)]
        parts.append(f"### {markdown_text(listing.heading)}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(markdown_text, cells)) + " |"


def markdown_text(text: str) -> str:
    """Return `text` on one line with the characters that Markdown interprets escaped."""
    return _MARKDOWN.sub(r"\\\1", display_text(text, limit=_LIMIT))


def as_csv(report: Report) -> str:
    """Return one line per figure: a model, a slice, a further metric, a share corrected for a judge's errors, a blind
    baseline or a published result.

    Shares and differences are 0..1 and -1..1, with all digits. A text that begins like a formula gets a leading quote.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _csv_cell(value) for key, value in line.items()} for line in _csv_lines(report))
    return file.getvalue()


def _csv_cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = display_text(value, limit=_LIMIT)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv_lines(report: Report) -> Iterator[dict[str, object]]:
    blind: set[tuple[object, ...]] = set()
    for row in report.rows:
        place: dict[str, object] = {"task": row.task, "version": row.version}
        place |= {"dataset_sha256": row.dataset_sha256, "protocol": row.protocol}
        model: dict[str, object] = {"model": row.model, "model_hash": row.model_hash, "is_base": int(row.is_base)}
        model["is_reference"] = int(row.is_reference)
        twin = report.twin_of(row) if row.denied else None
        affirmative = {} if twin is None else {"affirmative_share": twin.accuracy.estimate}
        main = {**place, **model, "metric": row.metric}
        yield {"kind": "model", **main, **_share(row), **_difference(row.base), **affirmative, **_computation(row)}
        for share in row.others:
            yield {"kind": "metric", **place, **model, "metric": share.name, **_share(share)}
        if row.segmentation is not None:
            yield from ({"kind": "metric", **place, **model, "n": row.n, **iou} for iou in _ious(row.segmentation))
        if (corrected := corrected_share_of(row, report.judge_errors)) is not None:
            yield {"kind": "corrected", **main, "n": row.n, **_interval(corrected)}
        for part in row.slices:
            cut = {"cut": part.cut, "value": part.value}
            yield {"kind": "slice", **main, **cut, **_share(part), **_difference(part.base)}
            if part.masks is not None:
                yield from ({"kind": "slice", **place, **model, **cut, "n": part.n, **iou} for iou in _ious(part.masks))
        if (key := tuple(place.values())) not in blind:
            blind.add(key)
            for share in row.baselines:
                yield {"kind": "blind", **place, "metric": row.metric, "model": share.name, **_share(share)}
    for other in report.published:
        place = {"task": other.task, "protocol": other.protocol, "metric": other.metric, "model": other.model}
        correct = "" if other.correct is None else other.correct
        figures = {"correct": correct, "n": other.n, **_interval(other.accuracy)}
        yield {"kind": other.kind, **place, **figures, "source": other.source}


def _ious(scores: SegmentationRow | SliceMasks) -> Iterator[dict[str, object]]:
    """Yield both IoU scores, each with its difference from the base if there is one."""
    for metric in ("mean_iou", "overall_iou"):
        base = scores.base and getattr(scores.base, metric)
        limits = {"difference": base.estimate, "difference_low": base.low, "difference_high": base.high} if base else {}
        yield {"metric": metric, **_interval(getattr(scores, metric)), **limits}


def _share(part: ComparisonRow | Slice | Share) -> dict[str, object]:
    return {"correct": part.correct, "n": part.n, **_interval(part.accuracy)}


def _computation(row: ComparisonRow) -> dict[str, object]:
    """Return device and precision, and what makes the scores doubtful."""
    counts = row.undecided
    return {
        "device": row.device,
        "precision": row.precision,
        "nan": counts.nan,
        "ties": counts.ties,
        "equal_scores": counts.equal,
        "verdicts": "; ".join(verdict.code for verdict in row.verdicts),
    }


def _interval(accuracy: Interval) -> dict[str, object]:
    return {"share": accuracy.estimate, "low": accuracy.low, "high": accuracy.high}


def _difference(base: PairedDifference | None) -> dict[str, object]:
    if base is None:
        return {}
    difference = base.difference
    return {
        "difference": difference.estimate,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "gained": base.gained,
        "lost": base.lost,
        "p": base.p_value,
        "p_holm": "" if base.p_holm is None else base.p_holm,
        "interval_disagrees": int(base.interval_disagrees),
        "detectable": base.detectable,
    }
