"""Calibration of CLIP's score of presence with the labels of the workspace.

The score of `workbench.generation.engines.local.clip_presence` has the order of a probability but not its size. Where
people decided enough candidates, CLIP is asked about these too, and a logistic curve (Platt) is fitted to their labels;
the labels of other images test it, and give CLIP's errors at its threshold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from curation_db.corpus_audit.audit_report import interval_json
from curation_db.stats.intervals import wilson
from curation_db.stats.judge_accuracy import AuditLabels, PresenceLabel, presence_labels
from curation_db.stats.misclassification import JudgeErrors, corrected_share
from curation_db.storage.store import open_read_only
from curation_db.trust.calibration import LogitScale, Reliability, fit_platt, reliability
from curation_db.trust.evidence import split_by_image
from workbench.workspace.layout import Workspace
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.settings import read_settings

LEAST: Final = 10
"""Labels of either kind that the fit and the test each need."""
MOST: Final = 2_000
"""Labels that are used, a random sample: more do not make two parameters better."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of the workspace with the files of their images."""

    kind: AuditLabels
    entries: tuple[tuple[PresenceLabel, Path], ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted curve, and what the labels of other images say about it and about the raw score."""

    kind: AuditLabels
    fitted: int
    scale: LogitScale
    tested: Reliability
    """Of the calibrated probabilities."""
    errors: JudgeErrors
    """Of the answers at the threshold; right is present."""

    def to_json(self, shown: int, clear: int) -> dict[str, Any]:
        """Return the calibration as JSON types, with the share of `shown` of `clear` corrected for the errors."""
        errors = self.errors
        share = corrected_share(shown, clear, errors) if clear else None
        return {
            "labels": str(self.kind),
            "fitted": self.fitted,
            "tested": self.tested.n,
            "slope": self.scale.slope,
            "intercept": self.scale.intercept,
            "brier": self.tested.brier,
            "discrimination": self.tested.discrimination,
            "sensitivity": interval_json(wilson(errors.right_as_right, errors.right)),
            "specificity": interval_json(wilson(errors.wrong_as_wrong, errors.wrong)),
            "share": None if share is None else interval_json(share),
        }


def read_labels(workspace: Workspace) -> Labels | None:
    """Return the labels of the blind audit, else those of all decisions; None: there are too few for a calibration."""
    settings = read_settings(workspace.settings)
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    for kind in (AuditLabels.AUDIT, AuditLabels.DECIDED):
        with open_read_only(workspace.database) as store, store.read() as connection:
            labels = sorted(presence_labels(connection, kind), key=_place)[:MOST]
        if not _enough(labels):
            continue
        located = [(label, folders.locate(label.source, label.file_name)) for label in labels]
        entries = tuple((label, path) for label, path in located if path is not None and path.is_file())
        if _enough([label for label, _ in entries]):
            return Labels(kind, entries)
    return None


def fit(labels: Labels, probabilities: Sequence[float | None], threshold: float) -> Calibration | None:
    """Fit the curve to the score of each label; None: too few have one.

    Args:
        probabilities: P(present) of the score for each label; None: undefined.
        threshold: P(present) from which on an answer is yes.
    """
    score = {
        label.candidate_id: p for (label, _), p in zip(labels.entries, probabilities, strict=True) if p is not None
    }
    scored = [label for label, _ in labels.entries if label.candidate_id in score]
    if not _enough(scored):
        return None
    fitting, testing = split_by_image(scored)
    scale = fit_platt([score[each.candidate_id] for each in fitting], [each.present for each in fitting])
    outcomes = [each.present for each in testing]
    raw = [score[each.candidate_id] for each in testing]
    yes = [p >= threshold for p in raw]
    pairs = list(zip(yes, outcomes, strict=True))
    errors = JudgeErrors(pairs.count((True, True)), sum(outcomes), pairs.count((False, False)), outcomes.count(False))
    return Calibration(labels.kind, len(fitting), scale, reliability(scale.apply(raw), outcomes), errors)


def _enough(labels: Sequence[PresenceLabel]) -> bool:
    return all(
        min(sum(each.present for each in side), sum(not each.present for each in side)) >= LEAST
        for side in split_by_image(labels)
    )


def _place(label: PresenceLabel) -> bytes:
    """Return the place in the random order of the sample."""
    return hashlib.sha256(str(label.candidate_id).encode()).digest()
