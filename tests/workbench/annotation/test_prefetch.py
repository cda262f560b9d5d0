"""The prefetch thread pauses while the screen draws a card, and never while the annotator waits for one."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from support.curating import wait_for_card, wait_for_end
from support.monotonic import MonotonicClock
from support.wall_clock import WallClock
from support.workspaces import WorkspaceFixture

from curation_db.enums import Kind
from curation_db.events.annotators import begin_session
from curation_db.queue.claims import Claim, Queue
from workbench.annotation import prefetch as prefetch_module
from workbench.annotation.models import DEPTH
from workbench.annotation.prefetch import REST_SECONDS, CardPrefetcher

LEASE_SECONDS = 600.0


def ready(claim: Claim) -> Any:
    """The attributes of a prepared card that the prefetcher reads."""
    return SimpleNamespace(card=SimpleNamespace(candidate_id=claim.candidate_id), stream=claim.stream, asked=True)


class Stepped:
    """A prefetcher without its thread: the test calls each step and advances the clocks."""

    def __init__(self, workspace: WorkspaceFixture) -> None:
        self.monotonic, self.wall = MonotonicClock(), WallClock()
        self.workspace = workspace
        actor = begin_session(workspace.store, "ana", version="test")
        queue = Queue(workspace.store, actor, ordering="oldest", audit_share=0.0, clock=self.wall)
        self.prefetcher = CardPrefetcher(
            queue, ready, on_change=lambda: None, lease_seconds=LEASE_SECONDS, clock=self.wall, monotonic=self.monotonic
        )

    def steps(self) -> int:
        """Call more steps than change anything; return the number of prepared cards."""
        for _ in range(2 * DEPTH):
            self.prefetcher.step()
        return self.prefetcher.prepared


@pytest.fixture
def stepped(make_workspace: Any) -> Iterator[Stepped]:
    stepped_prefetcher = Stepped(make_workspace(10))
    yield stepped_prefetcher
    stepped_prefetcher.prefetcher.close()


def test_it_pauses_after_a_card_was_taken_and_continues_after_the_pause(stepped: Stepped) -> None:
    assert stepped.steps() == DEPTH
    assert stepped.prefetcher.take() is not None
    assert stepped.steps() == DEPTH - 1
    stepped.monotonic.advance(REST_SECONDS / 2)
    assert stepped.steps() == DEPTH - 1
    stepped.monotonic.advance(REST_SECONDS)
    assert stepped.steps() == DEPTH


def test_the_pause_ends_when_the_taken_card_is_drawn(stepped: Stepped) -> None:
    stepped.steps()
    stepped.prefetcher.take()
    assert stepped.steps() == DEPTH - 1
    stepped.prefetcher.end_rest()
    assert stepped.steps() == DEPTH


def test_it_pauses_while_a_key_is_applied(stepped: Stepped) -> None:
    stepped.prefetcher.step()
    seen: list[Any] = []
    stepped.prefetcher._prepare = seen.append
    stepped.prefetcher.current_id = 1
    stepped.prefetcher.rest()
    assert stepped.steps() == 1
    stepped.prefetcher.take()
    stepped.prefetcher.step()
    assert stepped.prefetcher.prepared == 1, "the annotator waits for a card"
    assert seen == []
    stepped.prefetcher.end_rest()
    assert stepped.steps() == DEPTH
    assert len(seen) == 1


def test_a_card_is_prepared_for_the_screen_unless_the_annotator_is_as_fast_as_the_thread(stepped: Stepped) -> None:
    seen: list[tuple[int, int]] = []
    prefetcher = stepped.prefetcher
    prefetcher._prepare = lambda card: seen.append((card.card.candidate_id, prefetcher.prepared))
    prefetcher.step()
    assert prefetcher.prepared == 1
    assert seen == []
    prefetcher.current_id = 1
    stepped.steps()
    assert seen == [(3, 2)], "before it can be taken, and only once the others are loaded"
    prefetcher.take()
    prefetcher.end_rest()
    stepped.steps()
    assert seen == [(3, 2), (4, 2)]


def test_only_the_first_of_many_returned_cards_keep_their_images(make_workspace: Any, open_session: Any) -> None:
    session = open_session(make_workspace(14), ordering="oldest")
    for _ in range(12):
        wait_for_card(session)
        session.submit(Kind.ACCEPT)
    for _ in range(12):
        assert session.undo() is Kind.ACCEPT
    waiting = session.upcoming()
    assert [each.thumbnail is not None for each in waiting[:11]] == [True] * 8 + [False] * 3
    assert session.submit(Kind.ACCEPT).candidate_id == 1
    while session.upcoming()[0].thumbnail is not None:
        session.submit(Kind.ACCEPT)
    session.submit(Kind.ACCEPT)
    assert session.current is not None
    assert session.current.thumbnail is not None


def test_it_does_not_pause_when_no_other_card_is_ready(stepped: Stepped) -> None:
    for _ in range(10):
        stepped.prefetcher.step()
        assert stepped.prefetcher.take() is not None
    assert stepped.steps() == 0
    assert stepped.prefetcher.exhausted


def test_leases_are_renewed_during_a_pause(stepped: Stepped) -> None:
    stepped.steps()
    stepped.prefetcher.take()
    stepped.wall.advance(LEASE_SECONDS * 0.9)
    assert stepped.steps() == DEPTH - 1
    ((renewed,),) = stepped.workspace.rows(
        f"SELECT count(*) FROM lease WHERE expires_at = {stepped.wall() + LEASE_SECONDS}"
    )
    assert renewed == DEPTH - 1


def test_the_thread_does_not_wait_when_no_other_card_is_ready(
    make_workspace: Any, open_session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch_module, "REST_SECONDS", 3600.0)
    session = open_session(make_workspace(10))
    for _ in range(10):
        wait_for_card(session)
        session.submit(Kind.ACCEPT)
    wait_for_end(session)
