"""Makes a benchmark from the record: joins the labels of the record, the images, and the selection of items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.errors import BenchError
from benchmarks.frozen.folder import AFFIRMED, NEGATED, TRUTH, FrozenBenchmark, write_frozen
from benchmarks.frozen.selection import Contrast, PlacedContrast, Selection, TooFewItems, items_needed, select
from workbench.jobs.benchmarks.record_labels import (
    BenchmarkSettings,
    LabelledItem,
    Progress,
    RecordLabels,
    frequent,
    image_name,
    limits_of,
    read_labels,
)
from workbench.workspace.layout import Workspace
from workbench.workspace.operations import BENCHMARKS

_COUNTED: Final = ("cue", "type", "position", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPlan:
    """A benchmark that can be written, or what is lacking."""

    name: str
    settings: BenchmarkSettings
    record: RecordLabels
    selection: Selection | None
    lacking: TooFewItems | None
    """Why there is no selection."""
    chosen: Sequence[LabelledItem] = field(default=())
    """The selected items, by id."""

    @property
    def needed(self) -> int:
        """Number of items that the margin needs."""
        return items_needed(self.settings.margin)

    def labels(self, items: Iterable[LabelledItem]) -> dict[str, int]:
        """Return how many of these items have a true negated and a true affirmed caption."""
        truths = Counter(_truth(item.contrast) for item in items)
        return {truth: truths[truth] for truth in (NEGATED, AFFIRMED)}

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of selected items by value of each cut, the most frequent first."""
        return {cut: frequent(item.contrast.cuts[cut] for item in self.chosen) for cut in _COUNTED}

    def limits(self) -> list[str]:
        """Return what the benchmark cannot show, one sentence each."""
        return limits_of(self.chosen, (item.exports for item in self.chosen))


def make_plan(
    workspace: Workspace, name: str, settings: BenchmarkSettings, progress: Progress = lambda step, done, total: None
) -> BenchmarkPlan:
    """Select the items of a new benchmark; nothing is written.

    Raises:
        BenchError: the name is taken or is not a name.
        UsageError: it is the name of a known benchmark, or an export cannot be read.
        RecordError: the record cannot be read.
    """
    labels = read_labels(workspace, name, settings, progress)
    selection, lacking = None, None
    try:
        selection = select(
            [item.contrast for item in labels.usable.values()],
            items=settings.items,
            margin=settings.margin,
            seed=settings.seed,
            quotas=settings.quotas,
            progress=lambda done, total: progress("balancing", done, total),
        )
    except TooFewItems as error:
        lacking = error
    return BenchmarkPlan(
        name=name,
        settings=settings,
        record=labels,
        selection=selection,
        lacking=lacking,
        chosen=[labels.usable[item.contrast.id] for item in selection.items] if selection else (),
    )


def write_benchmark(
    workspace: Workspace, plan: BenchmarkPlan, progress: Progress = lambda step, done, total: None
) -> FrozenBenchmark:
    """Freeze the benchmark of a plan in benchmarks/NAME.

    Raises:
        TooFewItems: the plan has no selection.
        BenchError: the name was taken, or an image changed, since the plan was made.
        OSError: a file cannot be read or written.
    """
    if plan.selection is None:
        raise plan.lacking or BenchError("nothing is selected")
    names = {item.contrast.id: image_name(item.contrast.image, item.path) for item in plan.chosen}
    return write_frozen(
        workspace.root / BENCHMARKS / plan.name,
        [_row(placed, names[placed.contrast.id]) for placed in plan.selection.items],
        {names[item.contrast.id]: (item.path, item.contrast.image) for item in plan.chosen},
        _manifest(plan, plan.selection, names),
        progress=lambda done, total: progress("copying images", done, total),
    )


def _row(placed: PlacedContrast, image: str) -> dict[str, Any]:
    contrast = placed.contrast
    return {
        "id": contrast.id,
        "image": image,
        "captions": list(placed.captions),
        "right": placed.right,
        "slices": {
            TRUTH: _truth(contrast),
            "denied_by": contrast.cuts["cue"],
            "type": contrast.cuts["type"],
            "source": contrast.cuts["source"],
        },
    }


def _manifest(plan: BenchmarkPlan, selection: Selection, names: Mapping[str, str]) -> dict[str, Any]:
    settings = plan.settings
    return {
        **plan.record.manifest(plan.chosen),
        "settings": {
            "votes": settings.votes,
            "items": settings.items,
            "margin": settings.margin,
            "quotas": [str(quota) for quota in settings.quotas],
            "seed": settings.seed,
            "with_exported": settings.with_exported,
        },
        **facts(plan, selection),
        "images": {
            names[item.contrast.id]: {"source": item.label.item.source, "key": item.label.item.image_key}
            for item in plan.chosen
        },
    }


def facts(plan: BenchmarkPlan, selection: Selection) -> dict[str, Any]:
    """Return the figures of a benchmark, as the manifest and `--json` have them."""
    return {
        "item_count": len(selection.items),
        "labels": {
            **plan.labels(plan.chosen),
            "people": len({name for item in plan.chosen for name in item.label.item.deciders}),
            "adjudicated": sum(item.label.adjudicated for item in plan.chosen),
        },
        "counts": plan.counts(),
        "baselines": {
            name: {"share": share.estimate, "low": share.low, "high": share.high}
            for name, share in selection.baselines.items()
        },
        "removed_for_baselines": selection.removed,
        "power": [{"discordant": share, "difference": found} for share, found in selection.power.items()],
        "limits": plan.limits(),
    }


def _truth(contrast: Contrast) -> str:
    return NEGATED if contrast.negated_is_true else AFFIRMED
