"""Small workspaces, and desks and apps that sit at them; all are closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.workspaces import Case, House, build

from curation_db.events.annotators import begin_session
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import Store, open_store
from workbench.annotation.models import SessionSettings
from workbench.annotation.open import open_session
from workbench.annotation.session import AnnotationSession
from workbench.tui.app import NegwbApp
from workbench.workspace.layout import Workspace
from workbench.workspace.settings import Settings

SETTINGS = Settings(pictures={"small": ("pictures",)})
Make = Callable[..., House]


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Make]:
    """Builds workspaces and closes them afterwards."""
    houses: list[House] = []

    def make(count: int = 5, *, cases: list[Case] | None = None, **told: Any) -> House:
        made = cases or [
            Case(text=f"a woman not wearing hat number {n}", concept=f"hat number {n}") for n in range(count)
        ]
        houses.append(build(tmp_path / f"house{len(houses)}", made, **told))
        return houses[-1]

    yield make
    for house in houses:
        house.store.close()


@pytest.fixture
def sit(make_house: Make) -> Iterator[Callable[..., AnnotationSession]]:
    """Sits people down at a house; everybody leaves at the end."""
    desks: list[AnnotationSession] = []

    def sit_down(house: House, name: str = "ana", *, deal: bool = True, **settings: Any) -> AnnotationSession:
        explicit = {key: settings.pop(key) for key in ("clock", "wall_clock", "role") if key in settings}
        serving = SessionSettings(**{"ordering": "oldest", "audit_share": 0.0, "guard_seconds": 0.0, **settings})
        desks.append(
            open_session(
                Workspace(house.root),
                name,
                settings=SETTINGS,
                serving=serving,
                box=(200, 200),
                version="test",
                **explicit,
            )
        )
        desks[-1].start(deal=deal)
        return desks[-1]

    yield sit_down
    for desk in desks:
        desk.close()


@pytest.fixture
def join(make_house: Make) -> Iterator[Callable[[House, str], DecisionWriter]]:
    """People who decide in a house without a screen."""
    stores: list[Store] = []

    def join(house: House, name: str) -> DecisionWriter:
        stores.append(open_store(house.root / "curation.db"))
        return DecisionWriter(stores[-1], begin_session(stores[-1], name, version="test"))

    yield join
    for store in stores:
        store.close()


@pytest.fixture
def open_app(sit: Callable[..., AnnotationSession]) -> Callable[..., NegwbApp]:
    """An app at a desk of its own."""

    def make(house: House, name: str = "ana", *, app: dict[str, Any] | None = None, **settings: Any) -> NegwbApp:
        return NegwbApp(sit(house, name, **settings), **(app or {}))

    return make
