"""Errors of the judges of judged benchmarks, from the answers that people reviewed blind in Curate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.results import StoredResult
from benchmarks.schema import JudgedImage
from curation_db.language.sanitize import clean
from curation_db.stats.benchmark_labels import benchmark_labels
from curation_db.stats.misclassification import JudgeErrors
from curation_db.storage.store import open_read_only
from workbench.workspace.layout import Workspace

Labels = Mapping[tuple[str, str], bool]
"""(text, SHA-256 of the image) to whether the text is true of the image."""


def measured_errors(workspace: Workspace, results: Iterable[StoredResult]) -> dict[str, JudgeErrors]:
    """Return the errors of each judge of `results` that has reviewed answers, by its id; reads the record."""
    judged = [stored for stored in results if "judge" in stored.result]
    if not judged or not workspace.database.is_file():
        return {}
    with open_read_only(workspace.database) as store, store.read() as connection:
        labels = benchmark_labels(connection)
    return errors_of(judged, labels) if labels else {}


def errors_of(results: Iterable[StoredResult], labels: Labels) -> dict[str, JudgeErrors]:
    """Return the errors of each judge on the labelled pairs; a pair of several models counts once."""
    found: dict[str, dict[tuple[str, str], tuple[bool, bool]]] = {}
    for stored in results:
        answered = found.setdefault(stored.result["judge"]["id"], {})
        for row in stored.items():
            text = clean(row["text"])
            for image in row.get("answers", []):
                if (is_true := labels.get((text, image["sha256"]))) is not None:
                    answered[text, image["sha256"]] = is_true, _finds_right(image)
    return {judge: _counted(list(answers.values())) for judge, answers in found.items() if answers}


def _finds_right(image: JudgedImage) -> bool:
    return image["scene"] is True and image["denied"] is False


def _counted(answers: Sequence[tuple[bool, bool]]) -> JudgeErrors:
    right = [found for is_true, found in answers if is_true]
    wrong = [found for is_true, found in answers if not is_true]
    return JudgeErrors(sum(right), len(right), len(wrong) - sum(wrong), len(wrong))
