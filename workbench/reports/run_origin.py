"""From a run to its export, and to the decisions that chose the pairs: those in the export, and the rejected ones.

The accepted and rejected pairs of an export are in its items.jsonl. What was rejected and left out is read from the
record, as of the export's event, if the record still has that history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from benchmarks.schema import NO_CUE
from curation_db.enums import State
from curation_db.events.event_clock import HistoryRelation, relation_of
from curation_db.exporting.manifest import ExportItem, Manifest, ManifestError, read_items
from curation_db.exporting.pairs import read_pairs
from curation_db.exporting.pseudonyms import with_names
from curation_db.exporting.selection import ExportFilter, ExportRefused, choose
from curation_db.language.token_counter import CLIP_LIMIT
from curation_db.storage.store import open_store
from workbench.workspace.ablation_names import ArmName, arm_of
from workbench.workspace.layout import Workspace
from workbench.workspace.trained_runs import TrainedExport, trained_export

if TYPE_CHECKING:
    from sqlalchemy import Connection

Cut = Literal["cue", "type", "reason", "decider", "generator", "stream"]
_CUTS: Final[Mapping[Cut, Callable[[ExportItem], Sequence[str]]]] = {
    "cue": lambda item: (item.cue or NO_CUE,),
    "type": lambda item: (item.negation_type,),
    "reason": lambda item: item.reasons or (("without a reason",) if item.state == State.REJECTED else ()),
    "decider": lambda item: item.deciders or ("undecided",),
    "generator": lambda item: (item.generator or "unknown",),
    "stream": lambda item: (item.stream or "none",),
}
CUTS: Final = tuple(_CUTS)
"""What pairs are counted by. A pair can have several reasons and deciders, and counts for each."""


@dataclass(frozen=True, slots=True)
class RunOrigin:
    """A run, its export and the decisions behind it."""

    run: str
    arm: ArmName | None
    """Its place in an ablation."""
    seed: int
    export: TrainedExport
    items: tuple[ExportItem, ...]
    """The pairs of the export; empty if its files are gone."""
    left_out: tuple[ExportItem, ...] | None
    """The rejected pairs that are not in the export, as of its event; None: the record does not have that history."""
    problem: str
    """Why `items` or `left_out` is missing, on one line; "" if neither is."""

    @property
    def accepted(self) -> int:
        return sum(item.state == State.ACCEPTED for item in self.items)

    @property
    def rejected(self) -> int:
        """Rejected pairs that the export contains, as those of an ablation do."""
        return sum(item.state == State.REJECTED for item in self.items)


def values_of(item: ExportItem, cut: Cut) -> Sequence[str]:
    """Return the values of a pair: several reasons or deciders, one otherwise."""
    return _CUTS[cut](item)


def count_by(items: Iterable[ExportItem], cut: Cut) -> dict[str, int]:
    """Count pairs by a cut, the most frequent value first."""
    counts = Counter(value for item in items for value in values_of(item, cut))
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def with_value(items: Iterable[ExportItem], cut: Cut, value: str) -> list[ExportItem]:
    return [item for item in items if value in values_of(item, cut)]


def read_origins(
    workspace: Workspace, runs: Sequence[Path], progress: Callable[[int, int], None] = lambda done, total: None
) -> list[RunOrigin]:
    """Return the origins of runs; each export is read once.

    Raises:
        RecordError: the record cannot be opened.
        TrainerError: config.json of a run cannot be read.
    """
    known: dict[tuple[str, str], RunOrigin] = {}
    origins = []
    for done, run in enumerate(runs):
        progress(done, len(runs))
        export = trained_export(workspace, run)
        place = export.name, export.manifest.export_sha256 if export.manifest else ""
        if place not in known:
            known[place] = _read(workspace, run, export)
        seed = export.config.settings.seed
        origins.append(replace(known[place], run=run.name, arm=arm_of(run.name), seed=seed, export=export))
    progress(len(runs), len(runs))
    return origins


def _read(workspace: Workspace, run: Path, export: TrainedExport) -> RunOrigin:
    origin = RunOrigin(run.name, None, export.config.settings.seed, export, (), None, export.problem)
    if export.folder is None or export.manifest is None:
        return origin
    try:
        items, left_out = _read_pairs(workspace, export.manifest, tuple(read_items(export.folder)))
    except (ManifestError, ExportRefused) as error:
        return replace(origin, problem=str(error))
    problem = "" if left_out is not None else "the record does not have the history that the export comes from"
    return replace(origin, items=items, left_out=left_out, problem=problem)


def _read_pairs(
    workspace: Workspace, manifest: Manifest, items: tuple[ExportItem, ...]
) -> tuple[tuple[ExportItem, ...], tuple[ExportItem, ...] | None]:
    """Return the pairs of the export and those left out, with the names of annotators where the record has them."""
    if not workspace.database.is_file():
        return items, None
    with open_store(workspace.database) as store, store.read() as connection:
        at = manifest.event_seq
        if relation_of(connection, at, manifest.event_uid, manifest.lineage) is not HistoryRelation.SAME:
            return items, None
        if not manifest.named:
            items = tuple(with_names(connection, items))
        inside = {(item.source, item.key) for item in items}
        rejected = _rejected_at(connection, at)
        return items, tuple(item for item in rejected if (item.source, item.key) not in inside)


def _rejected_at(connection: Connection, at: int) -> Iterator[ExportItem]:
    chosen = choose(connection, ExportFilter(states=(State.REJECTED,)), at=at)
    return (pair.item for pair in read_pairs(connection, chosen, CLIP_LIMIT))
