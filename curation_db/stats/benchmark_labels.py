"""People's labels of the pairs that review the judge of a benchmark: is the text true of the image? Reads only."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from curation_db.enums import BENCHMARK, Kind, Reason
from curation_db.stats.annotator_agreement import audit_labels

FALSE_REASONS: Final = frozenset({Reason.PRESENT, Reason.REST_FALSE})
"""Rejections with these reasons say that the text is false of the image; "gratuitous" says that it is true."""
_LABELS = text(f"""
    SELECT c.text, i.content_sha256 AS sha256, l.kind, l.reason FROM ({audit_labels()}) AS l
    JOIN candidate c ON c.id = l.candidate_id JOIN image i ON i.id = c.image_id
    WHERE c.pipeline = :pipeline AND i.content_sha256 IS NOT NULL
""")


def benchmark_labels(connection: Connection) -> dict[tuple[str, str], bool]:
    """Return by (text, SHA-256 of the image as hex) whether the text is true of the image.

    Only blind labels of the audit count. A rejection for another reason (grammar, scope, a bad image) is no label, and
    a pair with contradicting labels has none.
    """
    labels: dict[tuple[str, str], set[bool]] = {}
    for row in connection.execute(_LABELS, {"pipeline": BENCHMARK}):
        if (is_true := _is_true(row.kind, row.reason)) is not None:
            labels.setdefault((row.text, bytes(row.sha256).hex()), set()).add(is_true)
    return {pair: next(iter(values)) for pair, values in labels.items() if len(values) == 1}


def _is_true(kind: str, reason: str | None) -> bool | None:
    if kind == Kind.ACCEPT or reason == Reason.GRATUITOUS:
        return True
    return False if reason in FALSE_REASONS else None
