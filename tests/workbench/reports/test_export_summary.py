"""Tests of the summary of an export: audit labels, policies, undone decisions."""

from __future__ import annotations

from sqlalchemy import text

from curation_db.enums import Kind, Reason, Role, Stream
from curation_db.events.annotators import Actor, begin_session
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.storage.store import open_store
from workbench.reports.exports import statements
from workbench.reports.exports.summary import PolicyUse, summarize
from workbench.workspace.create import create_workspace
from workbench.workspace.operations import freeze_set

BLIND = PresentationContext(Stream.AUDIT, blind=True, leased=False)


def test_audit_labels_and_policies_are_counted(tmp_path):
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        with store.write() as connection:
            connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'coco')"))
            connection.execute(text("INSERT INTO image(id, source_id, key, file_name) VALUES (1, 1, '1', '1.jpg')"))
            drafts = [
                NewCandidate(
                    source_id=1, key=f"g/{n}", image_id=1, raw_text=f"no dog {n}", pipeline="P1", generator="g"
                )
                for n in range(6)
            ]
            audit = insert_candidates(connection, drafts[:4], Intake(overlap="2", audit_rate=1.0))
            review = insert_candidates(connection, drafts[4:], Intake(audit_rate=0.0))
        ana, bob = (DecisionWriter(store, begin_session(store, name, version="test")) for name in ("ana", "bob"))
        for number in audit[:3]:
            ana.decide(number, Kind.ACCEPT, shown=BLIND)
        for number in audit[:2]:
            bob.decide(number, Kind.ACCEPT, shown=BLIND)
        bob.decide(audit[2], Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
        ana.decide(audit[3], Kind.ACCEPT, shown=BLIND)
        ana.undo()
        policy = DecisionWriter(store, Actor("accept@0a1b2c3d4e5f", 0, Role.POLICY, "s"))
        policy.decide_many(review, Kind.ACCEPT)
        ana.decide(review[1], Kind.ACCEPT)  # a person's decision counts instead
        manifest = freeze_set(workspace, "set-001")
        with store.read() as connection:
            summary = summarize(connection, workspace.exports / "set-001", resamples=50)
    assert manifest.counts.pairs == 4
    assert (summary.audit.rates, summary.audit.candidates, summary.audit.labelled) == ((0.0, 1.0), 4, 3)
    assert summary.audit.agreement.items == 3
    assert summary.audit.agreement.observed.estimate == 2 / 3
    assert "4 candidates was drawn" in statements.audit(summary)
    assert "with the probability 100.0 %; 3 of them" in statements.audit(summary)
    assert summary.policies == (PolicyUse("accept@0a1b2c3d4e5f", 1, "", None, None, None),)
    assert all(each.name.startswith("annotator-") for each in summary.annotators)
    assert sorted((each.accepts, each.rejects) for each in summary.annotators) == [(2, 1), (4, 0)]
    assert dict(summary.votes_per_pair) == {0: 1, 1: 1, 2: 2}
    assert any(
        each.startswith("Pairs without an accept or reject") and each.endswith(": 1.")
        for each in statements.limitations(summary)
    )
