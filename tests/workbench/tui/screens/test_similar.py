"""More like this, and rejecting a family in one act: on the card, in Browse and in Find, with real keys."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import lines, running, shown, until
from support.scenes import encoded_again, scene
from support.workspaces import Case, press

from workbench.tui.screens.browse import BrowseScreen
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.modals.family import FamilyModal
from workbench.workspace.image_signatures import refresh_record
from workbench.workspace.layout import Workspace


def _workspace(make_workspace: Any) -> Any:
    """Eight cards: 3 repeats the sentence of 1, and 5 the denial of 1 on a near-duplicate image."""
    texts = [
        ("a man not wearing a hat", "hat"),
        ("a street without cars", "car"),
        ("The man not wearing a hat", "hat"),
        ("no dog in the park", "dog"),
        ("a tall man not wearing a hat", "Hat"),
        ("a man not wearing a hat on a boat", "boat"),
        ("a kitchen with no oven", "oven"),
        ("nobody at the beach", "person"),
    ]
    workspace = make_workspace(cases=[Case(text=text, concept=concept) for text, concept in texts])
    for number in range(1, 9):
        image = encoded_again(scene(1)) if number == 5 else scene(number)
        image.save(workspace.root / "pictures" / f"{number:03}.png")
    return workspace


@pytest.mark.parametrize("size", [(120, 36), pytest.param((80, 24), marks=pytest.mark.long)])
async def test_a_card_lists_similar_ones_and_rejects_its_family_in_one_act(
    make_workspace: Any, open_app: Any, size: tuple[int, int]
) -> None:
    workspace = _workspace(make_workspace)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with running(app, size) as pilot:
        await until(pilot, lambda: shown(app) == 1)
        await press(pilot, "m")
        await until(pilot, lambda: isinstance(app.screen, BrowseScreen) and app.screen.table.row_count > 2)
        browse = app.screen
        assert str(browse.view) == "like:1"
        assert list(browse.table.ids)[:2] == [1, 3]
        assert {5, 6} <= set(browse.table.ids)
        await until(pilot, lambda: "1.0  " in lines(app) and "most similar first" in lines(app))
        await pilot.press("j", "m")
        await until(pilot, lambda: str(browse.view) == "like:3" and list(browse.table.ids)[:2] == [3, 1])
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))

        await press(pilot, "M")
        await until(pilot, lambda: "2 cards repeat this one, on 3 images" in lines(app))
        content = lines(app)
        assert "1 with the same sentence · 1 with the same denial" in content
        assert "a man not wearing a hat" in content
        assert "Reject 3 cards because" in content
        assert "a key says why and rejects them" in content
        assert workspace.events() == []
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        await press(pilot, "M")
        await until(pilot, lambda: "Reject 3 cards because" in lines(app))
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        assert workspace.events() == [(number, "reject", "gratuitous") for number in (1, 3, 5)]
        assert app.session.acts.acts[-1].did == "reject: gratuitous, of the family of card 1"
        words = "negwb decide 1,3,5 reject --bulk --yes --reason gratuitous -a ana\n"
        assert app.session.acts.script == words
        assert "not compared" not in content, "all images have a signature"
        await until(pilot, lambda: shown(app) == 2)
        await press(pilot, "z")
        await until(pilot, lambda: set(workspace.states().values()) == {"open"})

        (workspace.root / "pictures" / "007.png").unlink()
        (workspace.root / "cache" / "image-signatures.db").unlink()
        await press(pilot, "M")
        await until(pilot, lambda: isinstance(app.screen, FamilyModal) and "because" in lines(app))
        assert "1 of 8 images is not compared: negwb images duplicates" in lines(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, BrowseScreen) and app.screen.table.row_count > 0)
        await pilot.press("slash", "ctrl+u", *"near:001", "enter")
        await until(pilot, lambda: "1 of 8 images is not compared: negwb images duplicates" in lines(app))


async def test_find_says_how_many_images_it_does_not_compare(make_workspace: Any, open_app: Any) -> None:
    workspace = _workspace(make_workspace)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with running(app, (80, 24)) as pilot:
        await until(pilot, lambda: shown(app) == 1)
        await press(pilot, "slash")
        for query, found, note in (
            ("near:001", "1 found", "8 of 8 images are not compared: negwb images duplicates"),
            ("man", "4 found", ""),
        ):
            await pilot.press("ctrl+u", *query)
            await until(pilot, lambda found=found, note=note: found in lines(app) and note in lines(app))
            assert ("not compared" in lines(app)) is bool(note), query
        (workspace.root / "pictures" / "007.png").unlink()
        refresh_record(workspace.store, app.session.loader.pictures.locate_name, lambda *_: None)
        await pilot.press("ctrl+u", *"near:001")
        await until(pilot, lambda: "1 of 8 images is not compared: negwb images duplicates" in lines(app))
        assert "2 found" in lines(app)
        await press(pilot, "enter")
        assert shown(app) == 5


@pytest.mark.long
async def test_find_takes_a_query_for_similar_cards_and_browse_rejects_the_family_of_a_row(
    make_workspace: Any, open_app: Any
) -> None:
    workspace = _workspace(make_workspace)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with running(app) as pilot:
        await until(pilot, lambda: shown(app) == 1)
        assert [match.candidate_id for match in app.session.find("family:3 -near:001")] == [3]
        assert [match.candidate_id for match in app.session.find("like:3")][:2] == [3, 1]
        assert app.session.find("like:hat") == []
        await press(pilot, "b")
        await until(pilot, lambda: isinstance(app.screen, BrowseScreen) and app.screen.table.row_count == 8)
        await pilot.press("slash", *"near:001", "enter")
        await until(pilot, lambda: list(app.screen.table.ids) == [5, 1])
        await pilot.press("slash", "ctrl+u", *"sort:newest", "enter")
        await until(pilot, lambda: app.screen.table.row_count == 8)
        await pilot.press("end", "M")
        await until(pilot, lambda: "Reject 3 cards because" in lines(app))
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, BrowseScreen))
        await until(pilot, lambda: [each[0] for each in workspace.events()] == [1, 3, 5])
        assert [match.candidate_id for match in app.session.find("near:001")] == [5, 1]
        await pilot.press("home", "M")
        await until(pilot, lambda: "no other card repeats this one" in lines(app))
