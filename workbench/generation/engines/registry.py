"""Which engine a kind is: the house's own, or one that an installed package names as an entry point."""

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
"""Imported when asked for: torch takes seconds."""
_REGISTERED: dict[str, str] = {}
"""Kinds of other packages of negwb, as in `BUILT_IN`."""


def register_engine(kind: str, factory: str) -> None:
    """Add a kind of engine that another package of negwb has.

    Args:
        kind: As [engines] names it.
        factory: "module:function". The module is imported when an engine of the kind is opened.
    """
    _REGISTERED[kind] = factory


def _included() -> Mapping[str, str]:
    return {**BUILT_IN, **_REGISTERED}


def known_kinds() -> tuple[str, ...]:
    """All kinds that can be named in [engines]."""
    own = _included()
    return (*own, *sorted(point.name for point in entry_points(group=ENTRY_POINT_GROUP) if point.name not in own))


async def open_engine(settings: EngineSettings, context: EngineContext) -> Engine:
    """The engine, ready to answer.

    Raises:
        NegwbError: no such kind, settings that are off, or a server that cannot be reached.
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
            f"the engine {settings.name} ({settings.kind}) cannot be made: {error!r}", hint="ask whoever wrote it"
        ) from error


def _factory_of(settings: EngineSettings) -> EngineFactory:
    if (own := _included().get(settings.kind)) is not None:
        module, _, name = own.partition(":")
        return cast(EngineFactory, getattr(import_module(module), name))
    points: list[EntryPoint] = [point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name == settings.kind]
    if not points:
        raise UsageError(
            f"[engines.{settings.name}] kind = {settings.kind!r}: there is no such kind",
            hint=f"known: {', '.join(known_kinds())}",
        )
    try:
        made: Any = points[0].load()
    except Exception as error:
        raise UsageError(f"the engine {settings.kind} cannot be loaded: {error!r}", hint=points[0].value) from error
    return cast(EngineFactory, made)
