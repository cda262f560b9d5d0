"""Arms of an ablation: the same training on several selections of one record, to measure what a part of it is worth.

The arms share event, base model, recipe, seed and number of updates, and differ in their pairs alone. All of them are
named after the export of the accepted pairs and the arm, so that a repeated call finds what is finished.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation_db.enums import Reason, State
from curation_db.events.event_clock import HistoryRelation, current_seq, relation_of
from curation_db.exporting.manifest import Manifest, ManifestError, read_manifest
from curation_db.exporting.selection import ExportFilter, choose, left_out
from curation_db.search.export_query import parse_query
from curation_db.storage.store import open_store
from trainers.run_files import TrainingStatus, read_run
from trainers.settings import RunConfig, TrainSettings
from workbench.errors import NothingToDo, UsageError
from workbench.jobs.training.runs import find_export, find_or_create_run, make_config
from workbench.workspace.ablation_names import ACCEPTED, ARMS, WITHOUT_AUTO
from workbench.workspace.held_out import benchmark_images
from workbench.workspace.operations import find_frozen, freeze_set

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from workbench.workspace.layout import Workspace


@dataclass(frozen=True, slots=True)
class AblationArm:
    """One selection, and what it changes of the accepted pairs."""

    name: str
    selection: ExportFilter
    pairs: int
    added: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class OmittedArm:
    name: str
    pairs: int
    why: str


@dataclass(frozen=True, slots=True)
class AblationPlan:
    """The arms to train, and those that would measure nothing."""

    event: int
    export: str | None
    """Name of the export of the accepted pairs; None: it is not frozen yet."""
    folder: Path | None
    arms: tuple[AblationArm, ...]
    omitted: tuple[OmittedArm, ...]


def make_plan(workspace: Workspace, export: str | None = None, names: Sequence[str] = ()) -> AblationPlan:
    """Count the pairs of the arms; nothing is written.

    Args:
        export: Name or folder of an export of the accepted pairs; None: the accepted pairs of now.
        names: Arms besides `ACCEPTED`; empty: all.

    Raises:
        UsageError: an arm or the export does not exist, the export has other pairs or another history, or an arm has
            pairs on images of a benchmark that was made after the export.
        NothingToDo: no pair is accepted, or no arm differs from the accepted pairs.
        BenchError: the manifest of a frozen benchmark is damaged.
    """
    if unknown := [name for name in names if name not in ARMS]:
        raise UsageError(f"unknown arm {unknown[0]!r}", hint=f"known: {', '.join(ARMS)}")
    today = benchmark_images(workspace).without(ExportFilter())
    with open_store(workspace.database) as store, store.read() as connection:
        if export is None:
            event = current_seq(connection, today.depends_on())
            manifest = find_frozen(workspace, today, event)
            folder = None if manifest is None else workspace.exports / manifest.name
        else:
            folder = find_export(workspace, export)
            manifest = _accepted_export(connection, folder)
            event = manifest.event_seq
        base = today if manifest is None else ExportFilter.from_dict(manifest.selection, parse_query)
        wanted = [each for each in ARMS if not names or each in names or each == ACCEPTED]
        held_out = left_out(connection, ExportFilter(held_out=today.held_out - base.held_out, benchmarks=True))
        arms, omitted = _count(connection, base, None if manifest is None else event, wanted, held_out)
    if len(arms) < 2:
        raise NothingToDo(
            "no arm differs from the accepted pairs",
            hint="; ".join(f"{each.name}: {each.why}" for each in omitted) or "name an arm with --arm",
        )
    name = None if folder is None else folder.name
    return AblationPlan(event, name, folder, tuple(arms), tuple(omitted))


def _accepted_export(connection: Connection, folder: Path) -> Manifest:
    try:
        manifest = read_manifest(folder)
        selection = ExportFilter.from_dict(manifest.selection, parse_query)
    except (ManifestError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the export {folder.name} cannot be read: {error}") from error
    if selection.states != (State.ACCEPTED,) or not selection.auto:
        raise UsageError(
            f"the export {folder.name} does not hold all accepted pairs and no others",
            hint="freeze one with: negwb export; or leave EXPORT out",
        )
    if relation_of(connection, manifest.event_seq, manifest.event_uid, manifest.lineage) is not HistoryRelation.SAME:
        raise UsageError(
            f"the export {folder.name} does not come from the record of this workspace",
            hint="the rejected pairs are read from the record: freeze an export of it with: negwb export",
        )
    return manifest


def _count(
    connection: Connection, base: ExportFilter, at: int | None, names: Sequence[str], held_out: Collection[int]
) -> tuple[list[AblationArm], list[OmittedArm]]:
    """Return the arms and those left out; `held_out` are candidates that no arm may add to the accepted pairs.

    Raises:
        UsageError: an arm adds some of them.
    """
    decided = choose(connection, replace(base, states=(State.ACCEPTED, State.REJECTED)), at=at)
    arms, omitted, seen = list[AblationArm](), list[OmittedArm](), dict[frozenset[int], str]()
    for name, selection in _selections(base, names):
        resolved = selection.resolved(connection)
        pairs = frozenset(number for number in decided.ids if resolved.holds(decided.outcomes[number]))
        if why := _why_omitted(name, pairs, seen):
            omitted.append(OmittedArm(name, len(pairs), why))
            continue
        accepted = next(iter(seen), pairs)
        if late := (pairs - accepted).intersection(held_out):
            raise UsageError(
                f"{len(late):,} pairs of the arm {name} are on images of a benchmark that was made after the export",
                hint="leave EXPORT out: a new export leaves out these images",
            )
        seen[pairs] = name
        arms.append(AblationArm(name, selection, len(pairs), len(pairs - accepted), len(accepted - pairs)))
    return arms, omitted


def _selections(base: ExportFilter, names: Sequence[str]) -> Iterator[tuple[str, ExportFilter]]:
    for name in names:
        if name == ACCEPTED:
            yield name, base
        elif name == WITHOUT_AUTO:
            yield name, replace(base, auto=False)
        else:
            yield name, replace(base, states=(State.ACCEPTED, State.REJECTED), reasons=(Reason(name),))


def _why_omitted(name: str, pairs: frozenset[int], seen: Mapping[frozenset[int], str]) -> str:
    """Return why an arm measures nothing; "" for one that does.

    Raises:
        NothingToDo: no pair is accepted.
    """
    if name == ACCEPTED:
        if not pairs:
            raise NothingToDo("no pair is accepted", hint="decide first: negwb curate  (or see: negwb status)")
        return ""
    if not pairs:
        return "it would be empty: a policy accepted all pairs"
    if (equal := seen.get(pairs)) == ACCEPTED:
        cause = "a policy accepted none" if name == WITHOUT_AUTO else f"none is rejected for {name}"
        return f"it would have the accepted pairs only: {cause}"
    return f"it would have the same pairs as {equal}" if equal else ""


@dataclass(frozen=True, slots=True)
class ArmRun:
    arm: AblationArm
    export: str
    folder: Path

    @property
    def is_done(self) -> bool:
        return read_run(self.folder).status is TrainingStatus.DONE


def prepare_runs(
    workspace: Workspace,
    plan: AblationPlan,
    *,
    model: str | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> list[ArmRun]:
    """Freeze the exports of the arms and create their runs; what an earlier call made is used.

    Args:
        model, recipe, settings, device: as for `make_config`; a `seed` in `settings` is part of the names of the runs.

    Raises:
        UsageError: a name is taken by something else, or the settings contradict each other.
    """
    settings = dict(settings or {})
    accepted, *others = plan.arms
    base = plan.folder or workspace.exports / freeze_set(workspace, selection=accepted.selection).name
    event = plan.event if plan.folder else read_manifest(base).event_seq  # the record may have grown since the plan
    frozen = [_freeze(workspace, f"{base.name}.ablate-{arm.name}", arm.selection, event) for arm in others]
    exports = [str(base), *(manifest.name for manifest in frozen)]

    def config(export: str) -> RunConfig:
        return make_config(workspace, export, model=model, recipe=recipe, settings=settings, device=device)

    own = config(exports[0]).settings
    settings |= {"steps": updates(own, accepted.pairs), "patience": None}
    seed = f"-seed-{settings['seed']}" if "seed" in settings else ""
    configs = [config(export) for export in exports]  # before the first run exists: it could become the newest one
    return [
        ArmRun(arm, Path(export).name, find_or_create_run(workspace, f"{base.name}.ablate-{arm.name}{seed}", each))
        for arm, export, each in zip(plan.arms, exports, configs, strict=True)
    ]


def updates(settings: TrainSettings, pairs: int) -> int:
    """Return the number of updates of all arms: that of the recipe, or of its epochs over the accepted pairs."""
    if settings.steps is not None:
        return settings.steps
    negated = settings.batch - round(settings.batch * settings.replay_share)
    return settings.epochs * max(1, math.ceil(pairs * (1 - settings.val_share) / negated))


def _freeze(workspace: Workspace, name: str, selection: ExportFilter, event: int) -> Manifest:
    if (existing := find_frozen(workspace, selection, event, name)) is not None:
        return existing
    if (workspace.exports / name).exists():
        raise UsageError(
            f"the export {name} is damaged or holds other pairs",
            hint=f"delete the folder {workspace.exports / name}, and call this again",
        )
    return freeze_set(workspace, name, at=event, selection=selection)
