"""The prefetch thread pauses while a card is being painted, and never while a person waits for one."""

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
from workbench.annotation import prefetch as deck_module
from workbench.annotation.models import DEPTH
from workbench.annotation.prefetch import REST_SECONDS, CardPrefetcher

LEASE_SECONDS = 600.0


def ready(claim: Claim) -> Any:
    """What the prefetch needs of a prepared card."""
    return SimpleNamespace(card=SimpleNamespace(candidate_id=claim.candidate_id), stream=claim.stream, asked=True)


class Stepped:
    """A prefetch buffer without its thread: each step is asked for, and the clocks stand still."""

    def __init__(self, workspace: WorkspaceFixture) -> None:
        self.monotonic, self.wall = MonotonicClock(), WallClock()
        self.house = workspace
        actor = begin_session(workspace.store, "ana", version="test")
        queue = Queue(workspace.store, actor, ordering="oldest", audit_share=0.0, clock=self.wall)
        self.deck = CardPrefetcher(
            queue, ready, on_change=lambda: None, lease_seconds=LEASE_SECONDS, clock=self.wall, monotonic=self.monotonic
        )

    def steps(self) -> int:
        """As many steps as change anything, and more; the number of cards that are ready then."""
        for _ in range(2 * DEPTH):
            self.deck.step()
        return self.deck.prepared


@pytest.fixture
def stepped(make_workspace: Any) -> Iterator[Stepped]:
    made = Stepped(make_workspace(10))
    yield made
    made.deck.close()


def test_it_pauses_after_a_card_was_taken_and_goes_on_after_the_pause(stepped: Stepped) -> None:
    assert stepped.steps() == DEPTH
    assert stepped.deck.take() is not None
    assert stepped.steps() == DEPTH - 1
    stepped.monotonic.advance(REST_SECONDS / 2)
    assert stepped.steps() == DEPTH - 1
    stepped.monotonic.advance(REST_SECONDS)
    assert stepped.steps() == DEPTH


def test_it_does_not_pause_when_no_other_card_is_ready(stepped: Stepped) -> None:
    for _ in range(10):
        stepped.deck.step()
        assert stepped.deck.take() is not None
    assert stepped.steps() == 0
    assert stepped.deck.exhausted


def test_leases_are_renewed_during_a_pause(stepped: Stepped) -> None:
    stepped.steps()
    stepped.deck.take()
    stepped.wall.advance(LEASE_SECONDS * 0.9)
    assert stepped.steps() == DEPTH - 1
    ((renewed,),) = stepped.house.rows(
        f"SELECT count(*) FROM lease WHERE expires_at = {stepped.wall() + LEASE_SECONDS}"
    )
    assert renewed == DEPTH - 1


def test_the_thread_does_not_wait_when_no_other_card_is_ready(
    make_workspace: Any, open_session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deck_module, "REST_SECONDS", 3600.0)
    session = open_session(make_workspace(10))
    for _ in range(10):
        wait_for_card(session)
        session.submit(Kind.ACCEPT)
    wait_for_end(session)
