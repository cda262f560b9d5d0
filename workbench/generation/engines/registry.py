"""Engine kinds: the built-in ones, and those that installed packages register as entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, cast

from workbench.errors import NegwbError, UsageError
from workbench.generation.engines.protocol import ENTRY_POINT_GROUP, Engine, EngineContext, EngineFactory
from workbench.workspace.engine_settings import EngineSettings

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
    """Open an engine.

    Raises:
        NegwbError: unknown kind, invalid settings, or a server that cannot be reached.
    """
    make = _factory_of(settings)
    try:
        return await make(settings, context)
    except (NegwbError, OSError):
        raise
    except Exception as error:
        if settings.kind in _included():
            raise
        raise UsageError(
            f"the engine {settings.name} ({settings.kind}) cannot be opened: {error!r}", hint="report it to its author"
        ) from error


def _factory_of(settings: EngineSettings) -> EngineFactory:
    if (factory := _included().get(settings.kind)) is not None:
        module, _, name = factory.partition(":")
        return cast(EngineFactory, getattr(import_module(module), name))
    points: list[EntryPoint] = [point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name == settings.kind]
    if not points:
        raise UsageError(
            f"[engines.{settings.name}] kind = {settings.kind!r}: unknown engine kind",
            hint=f"known: {', '.join(known_kinds())}",
        )
    try:
        loaded: Any = points[0].load()
    except Exception as error:
        raise UsageError(f"the engine {settings.kind} cannot be loaded: {error!r}", hint=points[0].value) from error
    return cast(EngineFactory, loaded)
