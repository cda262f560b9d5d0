"""Small workspaces, and desks and apps that sit at them; all are closed again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.houses import Case, House, build

from curation_db.people import begin_session
from curation_db.review import Reviewer
from curation_db.store import Store, open_store
from workbench.pictures import PictureFolders
from workbench.tui.app import NegwbApp
from workbench.tui.desk import Desk
from workbench.tui.pictures import ThumbnailCache
from workbench.tui.sitting import DeskSettings, Pictures

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
def sit(make_house: Make) -> Iterator[Callable[..., Desk]]:
    """Sits people down at a house; everybody leaves at the end."""
    desks: list[tuple[Desk, Store]] = []

    def sit_down(house: House, name: str = "ana", *, deal: bool = True, **settings: Any) -> Desk:
        store = open_store(house.root / "curation.db")  # a store of its own, as a new process has
        folders = PictureFolders(house.root, {"small": ("pictures",)})
        pictures = Pictures(folders.locate, ThumbnailCache((200, 200)).get, folders.folders)
        clock, role = settings.pop("clock", time.monotonic), settings.pop("role", None)
        wall_clock = settings.pop("wall_clock", time.time)
        told = DeskSettings(**{"ordering": "oldest", "audit_share": 0.0, "guard_seconds": 0.0, **settings})
        actor = begin_session(store, name, version="test", role=role)
        desk = Desk(store, actor, pictures, told, clock=clock, wall_clock=wall_clock)
        desk.start(deal=deal)
        desks.append((desk, store))
        return desk

    yield sit_down
    for desk, store in desks:
        desk.close()
        store.close()


@pytest.fixture
def join(make_house: Make) -> Iterator[Callable[[House, str], Reviewer]]:
    """People who decide in a house without a screen."""
    stores: list[Store] = []

    def join(house: House, name: str) -> Reviewer:
        stores.append(open_store(house.root / "curation.db"))
        return Reviewer(stores[-1], begin_session(stores[-1], name, version="test"))

    yield join
    for store in stores:
        store.close()


@pytest.fixture
def open_app(sit: Callable[..., Desk]) -> Callable[..., NegwbApp]:
    """An app at a desk of its own."""

    def make(house: House, name: str = "ana", *, app: dict[str, Any] | None = None, **settings: Any) -> NegwbApp:
        return NegwbApp(sit(house, name, **settings), **(app or {}))

    return make
