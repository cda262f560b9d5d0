"""Builds the report from a folder of results: each model on each task, with baselines and the chosen base model.

Contains data only; screens and pages render it. Does not import torch. Of several runs with the same model, task, data
set and protocol, the newest valid one counts; damaged files are listed as problems. A model is compared with the base
model only item by item, on the same data set and protocol. `strict` rows precede `official` rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from benchmarks.affirmative_twins import needs_twin, twin_name
from benchmarks.analysis.comparison_cache import ComparisonCache, key_of
from benchmarks.analysis.published import PublishedRow, published_rows
from benchmarks.analysis.statistics import PairedDifference, paired_difference, with_holm
from benchmarks.errors import BenchError
from benchmarks.protocols import PROTOCOLS
from benchmarks.results import StoredResult, list_results, read, short_hash
from benchmarks.schema import (
    PICTURE_METRICS,
    GuessShare,
    IouScore,
    ItemRow,
    JudgeFacts,
    ModelFacts,
    OverlapFacts,
    Result,
    Score,
    TextFacts,
    picture_right,
    twin_scores,
)
from benchmarks.task import ORDERS
from benchmarks.text_limit import cut_text
from benchmarks.training_overlap import alike_text, overlap_text
from benchmarks.twins import mean_effects
from benchmarks.verdicts import Undecided, Verdict, undecided, verdicts
from curation_db.stats.intervals import RESAMPLES, Interval, wilson
from curation_db.stats.misclassification import JudgeErrors

MOST_VALUES: Final = 200
"""Slices of a cut with more values are left out: of ImageNet's 1,000 classes none would differ after the correction."""
_SHOWN_HASH: Final = 8
"""Characters of a hash that tell apart the models of one name."""
_HASH_MARK: Final = " #"
"""Between a name and the beginning of the hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A named share: a baseline, or a further metric."""

    name: str
    correct: float
    """For a baseline the expected number, which may be a fraction."""
    n: int
    accuracy: Interval
    ties: int = 0
    """Items with a tie of the baseline; with n ties the baseline is at chance level."""
    base: PairedDifference | None = None
    """Neg Score of text_to_image: compared with the reference; p is not corrected, since it is no main metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskDifference:
    """The paired differences of both IoU scores from those of the base model, -1..1."""

    mean_iou: Interval
    overall_iou: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceMasks:
    """The IoU scores of the items of a slice of a segmentation task."""

    mean_iou: Interval
    overall_iou: Interval
    base: MaskDifference | None
    """None for the reference, and if it was not run on the same items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The items of a row with one value of a cut."""

    cut: str
    """cue, cue_class, position, length, or a cut of the task."""
    value: str
    correct: int
    n: int
    accuracy: Interval
    base: PairedDifference | None
    """Compared with the base model on the same items; p is corrected for all slices of the row."""
    masks: SliceMasks | None
    """The IoU scores of a segmentation task, whose share of right items is its precision at an IoU of 0.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationRow:
    """The IoU scores of a segmentation task; the metrics of the row are its precisions."""

    route: str
    """clipseg or proposals."""
    name: str
    """Folder or name of the CLIPSeg model, or of the model that proposes masks."""
    settings: Mapping[str, Any]
    mean_iou: Interval
    overall_iou: Interval
    base: MaskDifference | None
    """None for the reference, and if it was not run on the same items."""
    blind: Mapping[str, tuple[float, float]]
    """mIoU and oIoU of the blind baselines."""
    empty: int
    """Number of predicted masks without a pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One model on one task under one protocol."""

    run: str
    """Name of the result file."""
    model: str
    """Name, followed by the beginning of the hash where two models have the name."""
    model_hash: str
    arch: str
    activation: str
    precision: str
    device: str
    routed: bool
    """Whether the base encoded the texts that negate nothing, and a tuned text tower the others."""
    task: str
    version: str
    """Version of the task's code; results of two versions are not compared."""
    dataset_sha256: str
    pictures_folder: str
    """Folder of the images when the task was run; empty if the file does not state it."""
    protocol: str
    denied: bool
    """Whether a flipped sign would look like success; then the score stands beside `Report.twin_of`, or its absence."""
    metric: str
    """Name of the main metric."""
    correct: int
    n: int
    accuracy: Interval
    """Share of right answers with its 95 % Wilson interval."""
    others: tuple[Share, ...]
    """Further metrics: recall_at_5."""
    chance: float
    baselines: tuple[Share, ...]
    ties: int
    nan: int
    undecided: Undecided
    """Items with NaN, ties or equal scores."""
    verdicts: tuple[Verdict, ...]
    """What is wrong with the scores; also in `notes`."""
    judge: JudgeFacts | None
    """The judge of a judged task."""
    segmentation: SegmentationRow | None
    """The IoU scores of a segmentation task."""
    texts: TextFacts | None
    """How many texts the model cuts at its token limit; None: not known."""
    templates: str
    """Name of the templates of the prompts; "" if the task has none."""
    normalisation: str
    """What was done to the features before they were compared; "" in older results."""
    overlap: OverlapFacts | None
    """Images of the task that the model was trained on; None: not known, or the model is not from a run."""
    is_base: bool
    """Whether a training run of the workspace started from this model."""
    is_reference: bool
    """Whether the other models are compared with this one."""
    against: Against
    """What the model is called that the others are compared with."""
    base: PairedDifference | None
    """Compared with the reference; None for the reference, and if it was not run on the same items.

    p is corrected for all comparisons of the report under this protocol."""
    slices: tuple[Slice, ...]
    """Empty unless requested; `slices_of_run` computes those of one row."""
    differing: tuple[str, ...]
    """Ids of the items that are right under one protocol and wrong under the other."""
    notes: tuple[str, ...]
    """Remarks on the scores, one line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A model without rows for a task, because it was trained on images of the task."""

    task: str
    model: str
    model_hash: str
    overlap: OverlapFacts
    images: int
    """Number of images of the task."""


@dataclass(frozen=True, slots=True)
class Report:
    rows: tuple[ComparisonRow, ...]
    """Ordered by task, protocol (strict first), base model first, and time of the run."""
    published: tuple[PublishedRow, ...]
    """Published scores on the tasks in `rows`."""
    reference: str | None
    """Name of the model that the others are compared with."""
    reference_note: str
    """Why that model is not the base of a run; "" if it is."""
    problems: tuple[str, ...]
    """Files that could not be read."""
    left_out: tuple[LeftOut, ...] = ()
    """Empty if such models are allowed."""
    judge_errors: Mapping[str, JudgeErrors] = field(default_factory=dict)
    """Errors of the judges of judged tasks by `JudgeFacts.id`, as far as people reviewed their answers."""

    def versions_of(self, task: str) -> tuple[str, ...]:
        """Return the versions of a task's code under which it was run."""
        return tuple(dict.fromkeys(row.version for row in self.rows if row.task == task))

    def twin_of(self, row: ComparisonRow) -> ComparisonRow | None:
        """Return the row of the same model and protocol on the affirmative twin, or None."""
        wanted = twin_name(row.task), row.protocol, row.model_hash
        twins = [each for each in self.rows if (each.task, each.protocol, each.model_hash) == wanted]
        return next((each for each in twins if each.version == row.version), twins[-1] if twins else None)

    def model_called(self, wanted: str) -> str:
        """Return the hash of the model that `wanted` names: its name as shown, its own name, or its hash's beginning.

        Raises:
            BenchError: There is no such model, or several have the name.
        """
        return matching_model(wanted, {row.model_hash: row.model for row in self.rows})

    def as_dict(self) -> dict[str, Any]:
        """Return the object for --json. Has no NaN: results with values that are not finite are refused."""
        return asdict(self)


Against = Literal["base", "reference"]
"""base: a run started from the model; reference: it was chosen, or evaluated first."""
_Key = tuple[str, str, str, str]
"""Task, its version, data set hash and protocol: equal for results that can be compared."""


@dataclass(frozen=True)
class _Derived:
    """What follows from the items of a row and of other results; cached."""

    denied: bool
    base: PairedDifference | None
    further: dict[str, PairedDifference]
    """Differences of further metrics, by name."""
    differing: tuple[str, ...]
    undecided: Undecided
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    masks: MaskDifference | None


@dataclass(frozen=True)
class _ReadResult:
    stored: StoredResult

    @cached_property
    def items(self) -> list[ItemRow]:
        """The items, read when they are first needed.

        Raises:
            BenchError: The file was changed after `_newest_valid` checked it.
        """
        return self.stored.items()

    def is_valid(self) -> bool:
        """Return True once the items were read and checked.

        Raises:
            BenchError: They are missing or damaged.
        """
        return bool(self.items)

    @property
    def identity(self) -> list[str]:
        """What the figures of this result follow from."""
        return [key_of(self.result), self.result["items_sha256"]]

    @property
    def result(self) -> Result:
        return self.stored.result

    @property
    def model(self) -> str:
        return self.result["model"]["hash"]

    @property
    def key(self) -> _Key:
        task = self.result["task"]
        return task["name"], task["version"], task["dataset_sha256"], self.result["protocol"]["name"]


def compare(
    folder: Path,
    *,
    base: str | None = None,
    default_base: str | None = None,
    run_bases: Mapping[str, str] = MappingProxyType({}),
    resamples: int = RESAMPLES,
    slices: bool = True,
    corrections: bool = True,
    allow_overlap: bool = True,
    cache: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Return the report on all results in `folder`.

    Args:
        folder: Folder of result files; other files are skipped and listed in `problems`.
        base: Name, or beginning of the hash, of the base model.
        default_base: Hash of the base model if `base` is None; if that model was not run, the model that was run first.
        run_bases: Hash of each trained model to the hash of the model that its run started from.
        slices: Whether the rows have their slices, which take most of the time.
        corrections: Whether models with a correction without training (`benchmarks.corrections`) have rows.
        allow_overlap: Whether a model has rows for a task with images that it was trained on.
        cache: Folder of cached figures; None: no cache.
        progress: Called with the number of rows that are done and their total.

    Raises:
        BenchError: `base` matches no model, or several.
    """
    listing = list_results(folder)
    if not corrections:
        uncorrected = (stored for stored in listing.results if "correction" not in stored.result["model"]["details"])
        listing = replace(listing, results=tuple(uncorrected))
    figures = ComparisonCache(cache)
    entries, problems = _newest_valid(listing.results, figures)
    base_hash = _base_hash(entries, base, default_base, listing.results)
    left_out = [] if allow_overlap else [entry for entry in entries if _trained_on_images(entry)]
    names = _Names.of(entries, base_hash, default_base, run_bases)
    entries = [entry for entry in entries if allow_overlap or not _trained_on_images(entry)]
    by_place = {(entry.model, entry.key): entry for entry in entries}
    rows: list[ComparisonRow] = []
    for entry in sorted(entries, key=_order(base_hash)):
        progress(len(rows), len(entries))
        reference = _reference(entry, by_place, base_hash, chosen=base is not None)
        rows.append(_row(entry, by_place, names, reference, resamples, figures, slices=slices))
    progress(len(rows), len(entries))
    figures.save()
    rows = _corrected(rows)
    tasks = {row.task for row in rows}
    return Report(
        tuple(rows),
        tuple(row for row in published_rows() if row.task in tasks),
        None if base_hash is None else names.shown[base_hash],
        names.reference_note(chosen=base is not None),
        listing.problems + tuple(problems),
        _left_out(left_out, names),
    )


def _trained_on_images(entry: _ReadResult) -> bool:
    overlap = entry.result.get("overlap")
    return overlap is not None and overlap["images"] > 0


def _left_out(entries: Iterable[_ReadResult], names: _Names) -> tuple[LeftOut, ...]:
    """Return one entry per model and task, ordered by task and model."""
    found: dict[tuple[str, str], LeftOut] = {}
    for entry in entries:
        task, shown = entry.result["task"], names.shown[entry.model]
        if overlap := entry.result.get("overlap"):
            found[task["name"], shown] = LeftOut(
                task=task["name"], model=shown, model_hash=entry.model, overlap=overlap, images=task["images"]
            )
    return tuple(found[place] for place in sorted(found))


def _corrected(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """Correct the p-values of all comparisons with the base under one protocol, over models and tasks."""
    corrected = list(rows)
    for protocol in {row.protocol for row in rows}:
        places = [place for place, row in enumerate(rows) if row.protocol == protocol]
        for place, base in zip(places, with_holm([rows[place].base for place in places]), strict=True):
            corrected[place] = replace(rows[place], base=base)
    return corrected


def slices_of_run(
    folder: Path, run: str, base_run: str | None, *, resamples: int = RESAMPLES, cache: Path | None = None
) -> tuple[Slice, ...]:
    """Return the slices of one result, compared with those of the base model.

    Args:
        run: Name of the result.
        base_run: Name of the base model's result on the same items; None: there is none.

    Raises:
        BenchError: A file is missing or was changed.
    """
    ours = _ReadResult(read(folder / f"{run}.json"))
    base = None if base_run is None else _ReadResult(read(folder / f"{base_run}.json"))
    figures = ComparisonCache(cache)
    slices = _cached_slices(ours, base, resamples, figures)
    figures.save()
    return slices


def _newest_valid(results: Sequence[StoredResult], figures: ComparisonCache) -> tuple[list[_ReadResult], list[str]]:
    """Return the newest valid run for each (model, task, data set, protocol), and the problems of invalid ones."""
    newest: dict[tuple[str, _Key], _ReadResult] = {}
    problems = []
    for stored in reversed(results):  # newest first
        entry = _ReadResult(stored)
        if (entry.model, entry.key) in newest:
            continue
        try:
            if not stored.has_whole_items() or not figures.get(key_of("valid", entry.identity), bool, entry.is_valid):
                entry.stored.items()  # raises the reason
            newest[entry.model, entry.key] = entry
        except BenchError as error:
            problems.append(error.message)
    return list(newest.values()), problems


@dataclass(frozen=True, slots=True)
class _Names:
    """The shown names of the models, and which of them are bases of runs."""

    shown: Mapping[str, str]
    """By hash."""
    reference: str | None
    """Hash of the model that the others are compared with."""
    default_base: str | None
    run_bases: Mapping[str, str]

    @classmethod
    def of(
        cls,
        entries: Sequence[_ReadResult],
        reference: str | None,
        default_base: str | None,
        run_bases: Mapping[str, str],
    ) -> _Names:
        ambiguous = ambiguous_names(entry.stored for entry in entries)
        shown = {entry.model: shown_name(entry.result["model"], ambiguous) for entry in entries}
        return cls(shown, reference, default_base, run_bases)

    def is_base(self, model: str | None) -> bool:
        return model is not None and (model == self.default_base or model in self.run_bases.values())

    def reference_note(self, *, chosen: bool) -> str:
        if self.reference is None or self.is_base(self.reference):
            return ""
        name = self.shown[self.reference]
        if chosen:
            return f"compared with {name}, as requested, which is not the base of a run"
        why = "no run names its base"
        if self.default_base:
            why = f"the base of the newest run, #{short_hash(self.default_base, _SHOWN_HASH)}, was not measured"
        return f"compared with {name}, the model that was evaluated first: {why}"

    def note_on_overlap(self, result: Result) -> str:
        """Return which images the model was trained on, or that this is not known of a run; else ""."""
        if result["task"]["kind"] == "text_to_image":
            return ""  # its images are made by the model
        if (overlap := result.get("overlap")) is None:
            unknown = result["model"]["hash"] in self.run_bases
            return "whether it was trained on images of the benchmark is not known" if unknown else ""
        images = result["task"]["images"]
        seen = overlap_text(overlap, images) if overlap["images"] else ""
        return "; ".join(filter(None, (seen, alike_text(overlap, images))))

    def note_on_reference(self, model: str, reference: str | None) -> str:
        """Return with what `model` is compared, if that is not the reference of the report or the base of its run."""
        if reference is not None and reference != self.reference:
            return "" if model == reference else f"compared with {self.shown[reference]}, the reference of this task"
        own = self.run_bases.get(model)
        if own is None or self.reference in {None, own, model}:
            return ""
        if own in self.shown:
            return f"its base is {self.shown[own]}, not the model that it is compared with"
        return f"its base, #{short_hash(own, _SHOWN_HASH)}, was not measured"


def _base_hash(
    entries: Sequence[_ReadResult], wanted: str | None, default_base: str | None, results: Iterable[StoredResult]
) -> str | None:
    if wanted is None:
        known = {entry.model for entry in entries}
        if default_base in known:
            return default_base
        ran = (stored.result["model"]["hash"] for stored in results)  # oldest first, so that a rerun changes nothing
        return next((model for model in ran if model in known), None)
    ambiguous = ambiguous_names(entry.stored for entry in entries)
    return matching_model(wanted, {entry.model: shown_name(entry.result["model"], ambiguous) for entry in entries})


def matching_model(wanted: str, shown: Mapping[str, str]) -> str:
    """Return the hash of the model that `wanted` names: its name, its name as shown, or the beginning of its hash.

    Args:
        shown: Names with `shown_name`, by hash.

    Raises:
        BenchError: There is no such model, or several; the hint lists the shown names.
    """
    named = {model for model, name in shown.items() if is_named(name, wanted)}
    matching = named or {model for model in shown if wanted and model.startswith(wanted)}
    if len(matching) != 1:
        problem = "matches several models" if matching else "matches no model"
        raise BenchError(
            f"the model {wanted!r} {problem}",
            hint="measured: " + (", ".join(sorted(shown[model] for model in matching or shown)) or "nothing yet"),
        )
    return matching.pop()


def ambiguous_names(results: Iterable[StoredResult]) -> frozenset[str]:
    """Return the names that several models have."""
    pairs = {(stored.result["model"]["name"], stored.result["model"]["hash"]) for stored in results}
    return frozenset(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)


def shown_name(model: ModelFacts, ambiguous: Container[str]) -> str:
    """Return the name of a model, with the beginning of its hash if other models have the name."""
    name = model["name"]
    return f"{name}{_HASH_MARK}{short_hash(model['hash'], _SHOWN_HASH)}" if name in ambiguous else name


def is_named(shown: str, name: str) -> bool:
    """Return whether a model that is shown as `shown` has the name `name`, with or without the hash."""
    return shown == name or shown.startswith(name + _HASH_MARK)


def _reference(
    entry: _ReadResult, by_place: Mapping[tuple[str, _Key], _ReadResult], base_hash: str | None, *, chosen: bool
) -> str | None:
    """Return the hash of the model that a result is compared with: the one that its task names, or the report's.

    A model that a person chose comes first, if it was run on the same items.
    """
    own = entry.result["task"].get("reference")
    if own is None or (own, entry.key) not in by_place:
        return base_hash
    return base_hash if chosen and base_hash is not None and (base_hash, entry.key) in by_place else own


def _order(base_hash: str | None) -> Callable[[_ReadResult], tuple[Any, ...]]:
    def key(entry: _ReadResult) -> tuple[Any, ...]:
        task, version, dataset, protocol = entry.key
        rank = PROTOCOLS.index(protocol) if protocol in PROTOCOLS else len(PROTOCOLS)
        first = entry.result["task"].get("reference", base_hash)
        return task, dataset, version, rank, entry.model != first, entry.result["created"]

    return key


def _row(
    entry: _ReadResult,
    by_place: dict[tuple[str, _Key], _ReadResult],
    names: _Names,
    reference: str | None,
    resamples: int,
    figures: ComparisonCache,
    *,
    slices: bool,
) -> ComparisonRow:
    result = entry.result
    is_reference = entry.model == reference
    base = None if is_reference or reference is None else by_place.get((reference, entry.key))
    derived = _cached(entry, base, _other_protocols(entry, by_place), resamples, figures)
    model, (metric, *further) = result["model"], result["metrics"]
    headline = result["metrics"][metric]
    return ComparisonRow(
        run=result["run"],
        model=names.shown[entry.model],
        model_hash=model["hash"],
        arch=model["arch"],
        activation=model["activation"],
        precision=model["precision"],
        device=model["device"],
        routed="routed" in model["details"],
        task=result["task"]["name"],
        version=result["task"]["version"],
        dataset_sha256=result["task"]["dataset_sha256"],
        pictures_folder=result["task"].get("pictures_folder", ""),
        protocol=result["protocol"]["name"],
        denied=derived.denied,
        metric=metric,
        correct=headline["correct"],
        n=headline["n"],
        accuracy=_interval(headline),
        others=tuple(_share(name, result["metrics"][name], derived.further.get(name)) for name in further),
        chance=result["task"]["chance"],
        baselines=tuple(_share(name, score) for name, score in result["baselines"].items()),
        ties=result["ties"],
        nan=result["nan"],
        undecided=derived.undecided,
        verdicts=derived.verdicts,
        judge=result.get("judge"),
        segmentation=_segmentation(result, derived.masks),
        texts=result.get("texts"),
        templates=result["task"].get("templates", ""),
        normalisation=model.get("normalisation", ""),
        overlap=result.get("overlap"),
        is_base=names.is_base(entry.model),
        is_reference=is_reference,
        against="base" if names.is_base(reference) else "reference",
        base=derived.base,
        slices=_cached_slices(entry, base, resamples, figures) if slices else (),
        differing=derived.differing,
        notes=(
            *derived.notes,
            *filter(None, [names.note_on_reference(entry.model, reference), names.note_on_overlap(result)]),
        ),
    )


def _cached(
    entry: _ReadResult,
    base: _ReadResult | None,
    others: Sequence[_ReadResult],
    resamples: int,
    figures: ComparisonCache,
) -> _Derived:
    def compute() -> _Derived:
        broken = verdicts(entry.result, entry.items)
        return _Derived(
            denied=needs_twin(
                entry.result["task"]["kind"], entry.result["task"]["name"], (row["cue"] for row in entry.items)
            ),
            base=_paired_items(entry.items, _right_by_id(base.items), resamples) if base else None,
            further=_further_differences(entry, base, resamples) if base else {},
            differing=_differing(entry, others),
            undecided=undecided(entry.items),
            verdicts=broken,
            notes=_notes(entry, base, broken),
            masks=_mask_difference(entry.items, base.items, resamples) if base else None,
        )

    key = key_of("row", entry.identity, base and base.identity, [other.identity for other in others], resamples)
    return figures.get(key, _Derived, compute)


def _cached_slices(
    entry: _ReadResult, base: _ReadResult | None, resamples: int, figures: ComparisonCache
) -> tuple[Slice, ...]:
    key = key_of("slices", entry.identity, base and base.identity, resamples)
    return figures.get(key, tuple[Slice, ...], lambda: _slices(entry.items, base.items if base else None, resamples))


def _paired_items(ours: Sequence[ItemRow], theirs: Mapping[str, bool], resamples: int) -> PairedDifference | None:
    """Compare two models on the items that both results have; `theirs`: whether the other is right, by id."""
    both = [row for row in ours if row["id"] in theirs]
    if not both:
        return None
    right = [row["correct"] for row in both]
    return paired_difference(
        right, [theirs[row["id"]] for row in both], [row["cluster"] for row in both], resamples=resamples
    )


def _segmentation(result: Result, base: MaskDifference | None) -> SegmentationRow | None:
    if (facts := result.get("segmentation")) is None:
        return None
    return SegmentationRow(
        route=facts["route"],
        name=facts["name"],
        settings=facts["settings"],
        mean_iou=Interval(**_limits(facts["mean_iou"])),
        overall_iou=Interval(**_limits(facts["overall_iou"])),
        base=base,
        blind={name: (values[0], values[1]) for name, values in facts["blind"].items()},
        empty=facts["empty"],
    )


def _limits(score: IouScore) -> dict[str, float]:
    return {"estimate": score["value"], "low": score["low"], "high": score["high"]}


def _mask_difference(ours: Sequence[ItemRow], theirs: Sequence[ItemRow], resamples: int) -> MaskDifference | None:
    """Compare the masks of two models on the items that both results have; None for other tasks."""
    others = {row["id"]: row for row in theirs if "mask" in row}
    both = [row for row in ours if "mask" in row and row["id"] in others]
    if not both:
        return None
    from benchmarks.segmentation.evaluation import overlap_of  # noqa: PLC0415 -- other reports need no masks
    from benchmarks.segmentation.metrics import mask_differences  # noqa: PLC0415

    found = mask_differences(
        [overlap_of(row) for row in both],
        [overlap_of(others[row["id"]]) for row in both],
        [row["cluster"] for row in both],
        resamples=resamples,
    )
    return MaskDifference(mean_iou=found.mean_iou, overall_iou=found.overall_iou)


def _further_differences(entry: _ReadResult, base: _ReadResult, resamples: int) -> dict[str, PairedDifference]:
    """Return the differences of the metrics of `PICTURE_METRICS` that are not the main one; none for other tasks."""
    main, *others = entry.result["metrics"]
    if main not in PICTURE_METRICS:
        return {}
    differences = {}
    for name in (each for each in others if each in PICTURE_METRICS):
        ours: list[ItemRow] = [{**row, "correct": picture_right(row, name)} for row in entry.items]
        theirs = {row["id"]: picture_right(row, name) for row in base.items}
        if (difference := _paired_items(ours, theirs, resamples)) is not None:
            differences[name] = difference
    return differences


def _right_by_id(items: Sequence[ItemRow]) -> dict[str, bool]:
    return {row["id"]: row["correct"] for row in items}


def _slices(items: Sequence[ItemRow], base: Sequence[ItemRow] | None, resamples: int) -> tuple[Slice, ...]:
    groups: dict[tuple[str, str], list[ItemRow]] = {}
    values = _values_of_cuts(items)
    for row in items:
        for cut, value in row["slices"].items():
            if values[cut] <= MOST_VALUES:
                groups.setdefault((cut, str(value)), []).append(row)
    ordered = sorted(groups.items(), key=lambda group: (group[0][0], _rank(*group[0]), -len(group[1]), group[0][1]))
    theirs = None if base is None else {row["id"]: row for row in base}
    slices = [_slice(cut, value, rows, theirs, resamples) for (cut, value), rows in ordered]
    corrected = with_holm([each.base for each in slices])
    return tuple(replace(each, base=base) for each, base in zip(slices, corrected, strict=True))


def _values_of_cuts(items: Sequence[ItemRow]) -> dict[str, int]:
    """Return the number of values of each cut."""
    distinct = {(cut, str(value)) for row in items for cut, value in row["slices"].items()}
    return Counter(cut for cut, _ in sorted(distinct))


def _rank(cut: str, value: str) -> int:
    """Return the position of a value in the order of its cut; values without one come last."""
    order = ORDERS.get(cut, ())
    return order.index(value) if value in order else len(order)


def _slice(cut: str, value: str, rows: list[ItemRow], base: Mapping[str, ItemRow] | None, resamples: int) -> Slice:
    correct = sum(row["correct"] for row in rows)
    theirs = None if base is None else [base[row["id"]] for row in rows if row["id"] in base]
    return Slice(
        cut=cut,
        value=value,
        correct=correct,
        n=len(rows),
        accuracy=wilson(correct, len(rows)),
        base=None if theirs is None else _paired_items(rows, _right_by_id(theirs), resamples),
        masks=_slice_masks(rows, theirs, resamples),
    )


def _slice_masks(rows: Sequence[ItemRow], theirs: Sequence[ItemRow] | None, resamples: int) -> SliceMasks | None:
    """Return the IoU scores of items with masks; None for other tasks."""
    if not all("mask" in row for row in rows):
        return None
    from benchmarks.segmentation.evaluation import overlap_of  # noqa: PLC0415 -- other reports need no masks
    from benchmarks.segmentation.metrics import mask_scores  # noqa: PLC0415

    found = mask_scores([overlap_of(row) for row in rows], [row["cluster"] for row in rows], resamples=resamples)
    base = None if theirs is None else _mask_difference(rows, theirs, resamples)
    return SliceMasks(mean_iou=found.mean_iou, overall_iou=found.overall_iou, base=base)


def _other_protocols(entry: _ReadResult, by_place: dict[tuple[str, _Key], _ReadResult]) -> list[_ReadResult]:
    """Return the results of the same model and items under the other protocols."""
    task, version, dataset, protocol = entry.key
    others = (by_place.get((entry.model, (task, version, dataset, name))) for name in PROTOCOLS if name != protocol)
    return [other for other in others if other]


def _differing(entry: _ReadResult, others: Sequence[_ReadResult]) -> tuple[str, ...]:
    """Return the ids of the items on which the model is right under one protocol only."""
    right = {row["id"]: row["correct"] for row in entry.items}
    return tuple(
        row["id"] for other in others for row in other.items if right.get(row["id"]) not in {None, row["correct"]}
    )


def _notes(entry: _ReadResult, base: _ReadResult | None, broken: Sequence[Verdict]) -> tuple[str, ...]:
    result, notes = entry.result, []
    headline = next(iter(result["metrics"].values()))
    better = [
        f"{name} {score['correct']:,.9g}"
        for name, score in result["baselines"].items()
        if score["correct"] >= headline["correct"]
    ]
    if better:
        notes.append(f"a baseline that does not see the image does as well: {', '.join(better)} of {headline['n']:,}")
    if result["task"]["kind"] == "twins" and (effects := mean_effects([twin_scores(row) for row in entry.items])):
        biases = f"text {effects.text:+.4f}, image {effects.image:+.4f}, interaction {effects.interaction:+.4f}"
        verdict = "; the sign is flipped: wrong pairs score higher" if effects.interaction < 0 else ""
        notes.append(f"mean effects on the score: {biases}{verdict}")
    if balanced := result.get("balanced"):
        groups = f"{len(balanced['groups']):,} groups by {balanced['cut'].replace('_', ' ')}"
        notes.append(f"balanced accuracy {100 * balanced['value']:.1f} %: the mean of {groups}")
    if templates := result["task"].get("templates"):
        notes.append(f"prompt templates: {templates}")
    for cut, values in _values_of_cuts(entry.items).items():
        if values > MOST_VALUES:
            notes.append(f"{values:,} values of the cut {cut.replace('_', ' ')}: too many for slices")
    if (correction := result["model"]["details"].get("correction")) and isinstance(correction, dict):
        notes += _correction_note(correction)
    if (facts := result.get("segmentation")) is not None:
        notes += facts["warnings"]
    notes += [verdict.text for verdict in broken]
    if "texts" in result and (cut := cut_text(result["texts"])):
        notes.append(cut)
    if base and result["task"]["kind"] != "text_to_image" and _on_other_images(result, base.result):
        notes.append("the model that it is compared with was run on other images with the same names")
    if base and (own := result["task"].get("templates", "")) != (other := base.result["task"].get("templates", "")):
        notes.append(f"prompts {own or 'without a template'}, {base.result['model']['name']} {other or 'without one'}")
    if base and (ours := _computation(result)) != (theirs := _computation(base.result)):
        notes.append(f"measured in {ours}, {base.result['model']['name']} in {theirs}")
    return tuple(notes)


def _computation(result: Result) -> str:
    """Return precision and device of a result."""
    return f"{result['model']['precision']} on {result['model']['device'].partition(':')[0]}"


def _on_other_images(ours: Result, theirs: Result) -> bool:
    """Return whether images of equal names differ; unknown, so False, where a result leaves out some of the images."""
    task, other = ours["task"], theirs["task"]
    return task["images"] == other["images"] and task["pictures_sha256"] != other["pictures_sha256"]


def _correction_note(correction: dict[str, Any]) -> list[str]:
    """Return the parameters of a correction and what they were chosen on; none for one without parameters."""
    parameters = ", ".join(f"{name} {correction[name]}" for name in ("layer", "strength") if name in correction)
    largest = " (the largest candidate)" if correction.get("largest") else ""
    chosen = f"{parameters}{largest}, chosen on {correction.get('chosen_on')}, which are not scored"
    return [chosen] if parameters else []


def tie_notes(row: ComparisonRow) -> str:
    """Return which baselines have ties, and on how many items; "" if none has."""
    counts: dict[int, list[str]] = {}
    for guess in row.baselines:
        if guess.ties:
            counts.setdefault(guess.ties, []).append(guess.name)
    parts = [f"{', '.join(names)} on {'all' if ties == row.n else ties} items" for ties, names in counts.items()]
    return f"a baseline with a tie of k options counts 1/k: {'; '.join(parts)}" if parts else ""


def _interval(score: Score | GuessShare) -> Interval:
    return Interval(score["value"], score["low"], score["high"])


def _share(name: str, score: Score | GuessShare, base: PairedDifference | None = None) -> Share:
    ties = int(score.get("ties", 0))  # type: ignore[call-overload]  # a metric has none
    return Share(name=name, correct=score["correct"], n=score["n"], accuracy=_interval(score), ties=ties, base=base)
