"""Engine kinds: the built-in ones, and those that installed packages register as entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from workbench.errors import NegwbError, UsageError
from workbench.generation.engines.guard import (
    GuardedEngine,
    PluginFault,
    call_plugin,
    engine_label,
    plugin_error,
    raised_text,
)
from workbench.generation.engines.protocol import ENTRY_POINT_GROUP, Engine, EngineContext, EngineFactory
from workbench.workspace.settings.engines import EngineSettings

BUILT_IN: Final[Mapping[str, str]] = {
    "openai": "workbench.generation.engines.openai.engine:make",
    "transformers": "workbench.generation.engines.local.engine:make",
    "clip": "workbench.generation.engines.local.clip:make",
}
"""Kind to "module:function". The module is imported when an engine is opened: torch takes seconds."""
_REGISTERED: dict[str, str] = {}
"""Kinds that other packages of negwb register, as in `BUILT_IN`."""


def register_engine(kind: str, factory: str) -> None:
    """Register an engine kind of another package of negwb.

    Args:
        kind: Value of `kind` in [engines.NAME].
        factory: "module:function". The module is imported when an engine of the kind is opened.
    """
    _REGISTERED[kind] = factory


def _included() -> Mapping[str, str]:
    return {**BUILT_IN, **_REGISTERED}


def known_kinds() -> tuple[str, ...]:
    """Return all kinds that [engines.NAME] can name."""
    included = _included()
    others = (point.name for point in entry_points(group=ENTRY_POINT_GROUP))
    return (*included, *sorted(name for name in others if name not in included))


async def open_engine(settings: EngineSettings, context: EngineContext) -> Engine:
    """Open an engine. An engine of another package is checked, and guarded from then on.

    Raises:
        NegwbError: unknown kind, invalid settings, a server that cannot be reached, or a plug-in with faults.
    """
    if (factory := _included().get(settings.kind)) is not None:
        module, _, name = factory.partition(":")
        return await cast(EngineFactory, getattr(import_module(module), name))(settings, context)
    make = _load_factory(settings, context, _entry_point(settings))
    try:
        engine = await call_plugin("the factory", lambda: make(settings, context))
    except PluginFault as fault:
        if isinstance(fault.__cause__, NegwbError):  # the factory refuses the settings
            raise fault.__cause__ from None
        raise plugin_error(settings, context, str(fault), fault.__cause__) from fault
    return GuardedEngine(engine, settings, context)


def _entry_point(settings: EngineSettings) -> EntryPoint:
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == settings.kind:
            return point
    raise UsageError(
        f"[engines.{settings.name}] kind = {settings.kind!r}: unknown engine kind",
        hint=f"known: {', '.join(known_kinds())}",
    )


def _load_factory(settings: EngineSettings, context: EngineContext, point: EntryPoint) -> Callable[..., object]:
    try:
        factory: object = point.load()
    except (Exception, SystemExit) as error:
        problem = f"{point.value} cannot be loaded: it {raised_text(error)}"
        raise plugin_error(settings, context, problem, error) from error
    if not callable(factory):
        raise plugin_error(settings, context, f"{point.value} is no function but {type(factory).__name__}")
    return factory


def plugin_packages(engines: Iterable[EngineSettings]) -> dict[str, str]:
    """Return the top-level package of each plug-in engine, with the label of the engine (of several: the labels)."""
    labels: dict[str, str] = {}
    points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    for settings in engines:
        if settings.kind not in _included() and settings.kind in points:
            package = points[settings.kind].module.partition(".")[0]
            label = engine_label(settings)
            labels[package] = f"{labels[package]}, {label}" if package in labels else label
    return labels
