"""`negwb curate --order mistaken` with real keys: second looks at accepted pairs, the lowest margin first."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import current_id, field_text, lines, running, shown, wait_for, wait_for_card
from support.workspaces import WorkspaceFixture, press, settled

from curation_db.enums import Kind, Reason, Role
from curation_db.queue.margins import MarginSource, PairMargin, store_margins


def measured(workspace: WorkspaceFixture, join: Any, margins: dict[int, float]) -> None:
    """Let ana accept the pairs 1, 2 and 3 of a workspace, and store margins."""
    ana = join(workspace, "ana")
    for number in workspace.ids[:3]:
        ana.decide(number, Kind.ACCEPT)
    keys = dict(workspace.rows("SELECT id, key FROM candidate"))
    (source,) = workspace.rows("SELECT name FROM source")[0]
    pairs = [PairMargin(source, keys[number], margin) for number, margin in margins.items()]
    store_margins(workspace.store, MarginSource(run="run-001", model_hash="h", export="set-001", event_seq=3), pairs)


async def test_the_worst_margin_comes_first_and_a_key_decides_again(
    make_workspace: Any, open_app: Any, join: Any
) -> None:
    workspace = make_workspace(4)
    measured(workspace, join, {1: 0.2, 2: -0.3, 3: -0.1})
    app = open_app(workspace, ordering="mistaken")
    async with running(app) as pilot:
        await settled(pilot)
        assert shown(app) == 2
        assert "second look" in field_text(app, "state")
        assert "accepted" in field_text(app, "past")
        assert "returns to the queue" not in field_text(app, "past")
        assert "mistaken" in lines(app)
        await press(pilot, "x", "p")
        assert workspace.events()[-1] == (2, "reject", "present")
        assert shown(app) == 3
        await press(pilot, "a")
        assert workspace.events()[-1] == (3, "accept", None)
        assert shown(app) == 1
        await press(pilot, "space")
        assert shown(app) == 4, "open candidates follow"
        assert field_text(app, "state") == ""
        await press(pilot, "z", "z")
        assert shown(app) == 3
    assert workspace.states() == {1: "accepted", 2: "rejected", 3: "accepted", 4: "open"}
    assert [kind for number, kind, _ in workspace.events() if number == 2] == ["accept", "reject"]
    assert not workspace.rows("SELECT 1 FROM event WHERE late AND seq > 3")


def test_a_prepared_look_whose_lease_was_lost_stays_one(make_workspace: Any, open_session: Any, join: Any) -> None:
    workspace = make_workspace(3)
    measured(workspace, join, {2: -0.3, 3: -0.1})
    session = open_session(workspace, ordering="mistaken")
    assert current_id(session) == 2
    wait_for(lambda: session.prepared == 1)
    with workspace.store.write() as connection:
        connection.exec_driver_sql("DELETE FROM lease")
    session.submit(Kind.ACCEPT)
    ready = wait_for_card(session)
    assert (ready.card.candidate_id, ready.second_look) == (3, True)
    session.refresh()
    assert current_id(session) == 3


@pytest.mark.parametrize(("role", "kind"), [(Role.ANNOTATOR, "reject"), (Role.ADJUDICATOR, "adjudicate")])
def test_an_adjudicator_settles(make_workspace: Any, open_session: Any, join: Any, role: Role, kind: str) -> None:
    """GIVEN a pair that ana accepted WHEN ben rejects it THEN the two differ, unless ben is an adjudicator."""
    workspace = make_workspace(3)
    measured(workspace, join, {1: 0.0})
    session = open_session(workspace, "ben", ordering="mistaken", role=role)
    assert wait_for_card(session).past is None
    session.submit(Kind.REJECT, Reason.PRESENT)
    assert workspace.events()[-1] == (1, kind, "present")
    assert workspace.states()[1] == ("rejected" if role is Role.ADJUDICATOR else "contested")


def test_a_second_look_at_an_audit_label_is_a_flip(make_workspace: Any, open_session: Any, join: Any) -> None:
    """The audit label stays the first decision, and the verdicts stay hidden."""
    workspace = make_workspace(3, audit_rate=1.0)
    measured(workspace, join, {1: 0.0})
    session = open_session(workspace, ordering="mistaken")
    assert wait_for_card(session).hidden
    session.submit(Kind.REJECT, Reason.PRESENT)
    assert workspace.rows("SELECT kind, verdict FROM event WHERE candidate_id = 1") == [
        ("accept", None), ("flip", "reject"),
    ]  # fmt: skip
    assert workspace.states()[1] == "rejected"
