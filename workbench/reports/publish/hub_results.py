"""`.eval_results/TASK.yaml` of a model repository: scores that the Hugging Face Hub shows on a data set's leaderboard.

The Hub accepts only data sets that are registered as a benchmark (huggingface/hub-docs, docs/hub/eval-results.md), and
which are cannot be known offline: the caller names them. JSON is YAML, so no YAML library is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.analysis.comparison import ComparisonRow
from workbench.console.number_format import span
from workbench.reports.publish.cautions import Caution

_DATASET = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?::(?P<task>[\w.-]+))?(?:@(?P<revision>[0-9a-f]{7,64}))?")
DATASET_FORM = "OWNER/NAME[:TASK_ID][@REVISION]"


@dataclass(frozen=True, slots=True)
class HubDataset:
    """A data set that is registered as a benchmark on the Hub."""

    id: str
    task_id: str = "default"
    """Task in the eval.yaml of the data set."""
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubDataset:
        """Parse `DATASET_FORM`.

        Raises:
            ValueError: it has another form.
        """
        found = _DATASET.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not {DATASET_FORM}")
        return cls(found["id"], found["task"] or "default", found["revision"])


def hub_results(row: ComparisonRow, dataset: HubDataset, created: str, cautions: Sequence[Caution]) -> list[Any]:
    """Return the content of the file of one task; the value is in percent."""
    revision: Mapping[str, str] = {} if dataset.revision is None else {"revision": dataset.revision}
    measured = f"{row.metric.replace('_', ' ')} in percent under the {row.protocol} protocol of negwb"
    notes = [f"{measured}: {row.correct} of {row.n}, 95 % interval {span(row.accuracy)}", f"{row.precision} precision"]
    return [
        {
            "dataset": {"id": dataset.id, "task_id": dataset.task_id, **revision},
            "value": round(100 * row.accuracy.estimate, 4),
            "date": created,
            "notes": "; ".join([*notes, *(caution.text for caution in cautions)]),
        }
    ]
