"""The questions after an accept, with real keys; the record is read after."""

from __future__ import annotations

from typing import Any

from support.curating import current_id, lines, running, shown, until
from support.workspaces import Case, press, settled
from textual.events import Key

from curation_db.enums import Kind
from curation_db.stats.probes import read_answers, verified_triplets
from workbench.annotation.probe import is_probed, probe_of
from workbench.tui.screens.queue_end import QueueEndScreen
from workbench.tui.widgets.lines.action_line import ActionLine
from workbench.workspace.keymap import KeyScope


def cases(count: int) -> list[Case]:
    return [Case(text=f"a woman not wearing a hat on street {n}") for n in range(count)]


def answers(workspace: Any) -> list[tuple[Any, ...]]:
    return list(workspace.rows("SELECT candidate_id, kind, verdict, note FROM event ORDER BY seq"))


async def test_a_probe_asks_about_the_twin_and_the_paraphrase(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(cases=cases(2))
    app = open_app(workspace, probe_share=1.0)
    twin, paraphrase = "a woman wearing a hat on street 0", "a woman wearing no hat on street 0"
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        image = app.screen.picture.thumbnail
        await press(pilot, "a")
        assert app.screen.scope is KeyScope.PROBE
        assert app.screen.picture.thumbnail is image
        assert "true or false" in lines(app)
        assert "t true   f false" in lines(app)
        assert "not wearing" not in lines(app), "the accepted caption would give the answer away"
        expected = [question.sentence for question in probe_of(app.screen.shown, "ana").questions]
        assert set(expected) == {twin, paraphrase}
        assert expected[0] in lines(app).replace("\n", " ") or expected[0][:20] in lines(app)
        await press(pilot, "a", "x", "space")  # keys of the card decide nothing
        assert "one question first: t true" in app.screen.query_one(ActionLine).text
        first, second = ("f", "t") if expected[0] == twin else ("t", "f")
        await press(pilot, first)
        assert "answered: " in app.screen.query_one(ActionLine).text
        await press(pilot, "z", first, second)
        assert shown(app) == 2
        assert app.screen.scope is KeyScope.CARD
        assert "street 1" in lines(app)
        await press(pilot, "z")  # takes the last answer back and asks again
        assert app.screen.scope is KeyScope.PROBE
        await press(pilot, second)
        assert shown(app) == 2
        await press(pilot, "x", "p")
        assert isinstance(app.screen, QueueEndScreen)  # a rejection is not probed
        assert "2 of 2 answers fit the accepts" in lines(app)
    with workspace.store.read() as connection:
        triplet = verified_triplets(read_answers(connection))[1]
    assert (triplet.twin, triplet.paraphrase) == (twin, paraphrase)
    kinds = [kind for _, kind, _, _ in answers(workspace)]
    assert kinds.count("undo") == 2
    assert workspace.states() == {1: "accepted", 2: "rejected"}


async def test_a_probe_is_skipped_and_its_accept_undone(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(cases=cases(2))
    app = open_app(workspace, probe_share=1.0)
    async with running(app, (60, 20)) as pilot:
        await settled(pilot)
        for key in ("a", "escape", "i", "a"):  # in one read
            app.post_message(Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: len(workspace.events()) == 2 and app.screen.scope is KeyScope.PROBE)
        assert app.screen.is_zoomed
        assert "Is this sentence true or false" in lines(app)
        await press(pilot, "z")
        assert shown(app) == 2
        assert app.screen.scope is KeyScope.CARD_ZOOM
        assert "not wearing a hat on street 1" in lines(app)
        await press(pilot, "a", "escape")
        assert isinstance(app.screen, QueueEndScreen)
    assert [(number, kind) for number, kind, _ in workspace.events()] == [
        (1, "accept"), (2, "accept"), (2, "undo"), (2, "accept"),
    ]  # fmt: skip


async def test_no_sentence_no_probe_and_the_choice_is_the_same_in_every_session(
    make_workspace: Any, open_session: Any
) -> None:
    workspace = make_workspace(cases=[Case(text="a dog, not a person in sight", concept="person"), *cases(40)])
    session = open_session(workspace, probe_share=1.0)
    cards = [session.loader.load(number, origin="found", leased=False, with_image=False) for number in workspace.ids]
    assert probe_of(cards[0], "ana") is None
    chosen = [[is_probed(ready.card, name, 0.3) for ready in cards] for name in ("ana", "ana", "ben")]
    assert chosen[0] == chosen[1] != chosen[2]
    assert 4 <= sum(chosen[0]) <= 20
    assert len({probe_of(ready, "ana").question.kind for ready in cards[1:]}) == 2, "both orders occur"
    assert not any(is_probed(ready.card, "ana", 0.0) for ready in cards)
    current_id(session)
    session.submit(Kind.ACCEPT, may_probe=True)  # about the first card: there is nothing to ask
    assert (session.probe, current_id(session)) == (None, 2)
    session.submit(Kind.ACCEPT, may_probe=True)
    assert session.probe is not None
    assert (session.current_card(), session.finished) == (None, False), "the next card waits for the answers"
    session.answer_probe(True)
    session.answer_probe(True)
    assert current_id(session) == 3
