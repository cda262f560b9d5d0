"""The corrections that `run_benches` evaluates beside each model: which, on which tasks, and how they are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.corrections.kind import CorrectionKind
from benchmarks.errors import BenchError
from trainers.errors import TrainerError
from workbench.console.progress_bars import prefixed
from workbench.errors import UsageError
from workbench.workspace.models import Model, base_model, base_of, short_name

if TYPE_CHECKING:
    from benchmarks.corrections.choosing import TuningItems
    from benchmarks.corrections.corrected import CorrectedEncoder
    from benchmarks.task import Task
    from trainers.models.clip_model import ClipModel
    from workbench.console.progress_bars import Step
    from workbench.workspace.layout import Workspace

_CHOSEN = (CorrectionKind.PROJECTION, CorrectionKind.STEERING)
"""The corrections with a strength, which is chosen on a share of the items."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    model: Model
    base: Model
    """The model that encodes the texts without a negation, if `model` is routed."""
    corrections: tuple[CorrectionKind, ...] = ()
    measured: bool = True
    """Whether the model is evaluated without a correction, too."""


def plan_evaluations(
    workspace: Workspace, models: Sequence[Model], corrections: Sequence[CorrectionKind] | None
) -> list[Evaluation]:
    """Return what to evaluate.

    Args:
        corrections: The corrections of each model. None: of each run, the routing, which costs nothing; of the base of
            each run, the other ones.
    """
    if corrections is not None:
        return [Evaluation(each, _base_for(workspace, each, corrections), tuple(corrections)) for each in models]
    bases = {each.spec: base for each in models if (base := base_of(each)) is not None}
    corrected = {base.spec: base for base in bases.values()}
    plan = [
        Evaluation(
            each,
            bases.get(each.spec, each),
            (*(_CHOSEN if each.spec in corrected else ()), *([CorrectionKind.ROUTE] if each.spec in bases else ())),
        )
        for each in models
    ]
    measured = {each.spec for each in models}
    further = (base for spec, base in corrected.items() if spec not in measured)
    return [*plan, *(Evaluation(base, base, _CHOSEN, measured=False) for base in further)]


def _base_for(workspace: Workspace, model: Model, corrections: Sequence[CorrectionKind]) -> Model:
    """Return the base of a run, else that of the workspace; `model` itself if it is not needed."""
    if CorrectionKind.ROUTE not in corrections:
        return model
    return base_of(model) or Model(spec := base_model(workspace), short_name(spec))


class Corrector:
    """Loads models and makes their corrections.

    Args:
        required: Whether a correction that cannot be made is an error; else it is left out with a warning.
    """

    def __init__(
        self,
        workspace: Workspace,
        tasks: Sequence[Task],
        device: str,
        *,
        required: bool,
        bars: Step,
        warn: Callable[[str], None],
    ) -> None:
        self._workspace, self._tasks, self._device = workspace, tasks, device
        self._required, self._bars, self._warn = required, bars, warn
        self._items: TuningItems | None = None
        self._bases: dict[str, ClipModel] = {}
        """Loaded bases of routed models, which several runs share."""

    def possible(self, plan: Sequence[Evaluation]) -> list[Evaluation]:
        """Return the plan without the corrections for which the tasks have no items to choose a strength on.

        Raises:
            UsageError: No task has negated texts, and the corrections are required.
            BenchError: The items are too few, and the corrections are required.
        """
        if any(kind in _CHOSEN for each in plan for kind in each.corrections):
            self._items = self._tuning_items()
        if self._items is None:
            plan = [
                replace(each, corrections=tuple(kind for kind in each.corrections if kind not in _CHOSEN))
                for each in plan
            ]
        return [each for each in plan if each.measured or each.corrections]

    def _tuning_items(self) -> TuningItems | None:
        from benchmarks.corrections.choosing import TuningItems  # noqa: PLC0415

        try:
            items = TuningItems.of(self._tasks)
        except BenchError as error:
            if self._required:
                raise
            self._warn(f"no {' and no '.join(_CHOSEN)} of the base: {error.message}")
            return None
        if items is None and self._required:
            raise UsageError(
                "no task has mostly negated texts, on which the strength of the correction could be chosen",
                hint="add one, such as negrefcocog",
            )
        return items

    def load(self, each: Evaluation) -> ClipModel | None:
        """Return the model; None: it cannot be loaded, and is only the base of a model to evaluate.

        Raises:
            TrainerError: It cannot be loaded.
        """
        try:
            return self._load(each.model)
        except TrainerError as error:
            if each.measured:
                raise
            self._warn(f"no {' and no '.join(each.corrections)} of {each.model.label}: {error.message}")
            return None

    def _load(self, model: Model) -> ClipModel:
        from trainers.models.loading import load_model  # noqa: PLC0415

        return self._bases.get(model.spec) or load_model(model.spec, device=self._device)

    def tasks_for(self, kind: CorrectionKind) -> Sequence[Task]:
        """Return the tasks, without the items on which the strength was chosen.

        A judged task, whose answers can cost money, is among them only if the correction was asked for.
        """
        tasks = self._items.scored if kind in _CHOSEN and self._items is not None else self._tasks
        return [task for task in tasks if self._required or task.kind != "judged"]

    def correct(self, kind: CorrectionKind, each: Evaluation, loaded: ClipModel) -> CorrectedEncoder | None:
        """Return the corrected model; None: it is left out, since it would be the model itself or cannot be made.

        Raises:
            BenchError, TrainerError: It cannot be made, and is required.
        """
        try:
            return self._routed(each, loaded) if kind is CorrectionKind.ROUTE else self._chosen(kind, each, loaded)
        except (BenchError, TrainerError) as error:
            if self._required:
                raise
            self._warn(f"no {kind} of {each.model.label}: {error.message}")
            return None

    def _routed(self, each: Evaluation, loaded: ClipModel) -> CorrectedEncoder | None:
        from benchmarks.corrections.routing import route  # noqa: PLC0415
        from trainers.models.routed import RoutedClipModel  # noqa: PLC0415

        if isinstance(loaded, RoutedClipModel) or each.base.spec == each.model.spec:
            if self._required:
                self._warn(f"no {CorrectionKind.ROUTE} of {each.model.label}: it would be the model itself")
            return None
        self._bases[each.base.spec] = base = self._load(each.base)
        return route(base, loaded)

    def _chosen(self, kind: CorrectionKind, each: Evaluation, loaded: ClipModel) -> CorrectedEncoder | None:
        from benchmarks.corrections.choosing import choose_correction  # noqa: PLC0415

        if self._items is None:
            return None
        progress = prefixed(self._bars, f"{each.model.label} + {kind}, choice of the strength: ")
        return choose_correction(kind, loaded, self._items, cache=self._workspace.cache, progress=progress)
