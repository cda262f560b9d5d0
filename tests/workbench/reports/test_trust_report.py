"""The trust part of `negwb status`: every figure against a record whose labels are known."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.audited import fill
from support.commands import negwb
from support.record import Record

from curation_db.enums import Claim, Kind
from curation_db.review.decisions import PresentationContext
from curation_db.storage.store import open_store
from curation_db.trust.policy import accept, declare, plan
from workbench.console.tables import plain_text
from workbench.reports.status_report import gather
from workbench.reports.trust.summary import newest_export, trust_listing
from workbench.workspace.create import create_workspace
from workbench.workspace.settings import read_settings


def test_each_figure_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = create_workspace(tmp_path / "ws")
    empty = gather(workspace)["trust"]
    assert (empty["accepted"], empty["judges"], empty["policies"], empty["newest_export"]) == (0, [], [], None)
    assert not trust_listing(empty).rows
    with open_store(workspace.database) as store:
        record = Record(store)
        fill(record, count=300)
        with store.read() as connection:
            planned = plan(connection, declare(connection, Claim.ACCEPTABLE, 0.8, confidence=0.8))
        automatic = accept(store, planned)
        ((labelled,),) = record.rows("SELECT count(*) FROM candidate WHERE audit")
        ((open_id,),) = record.rows("SELECT candidate_id FROM candidate_state WHERE state = 'open' LIMIT 1")
        record.open_session("ben").reviewer.decide(
            int(str(open_id)), Kind.ACCEPT, shown=PresentationContext(elapsed_ms=100)
        )
    assert negwb(workspace, "export", "set").exit_code == 0
    trust = json.loads(negwb(workspace, "status", "--json").stdout)["trust"]
    assert (trust["audit"]["candidates"], trust["audit"]["labelled"]) == (labelled, labelled)
    assert (trust["audit"]["labelled_twice"], trust["audit"]["observed"]["estimate"]) == (0, None)
    (judge,) = trust["judges"]
    assert (judge["judge"], judge["labels"]) == ("one", labelled)
    assert 0 < judge["ece"] < 0.3
    assert automatic > 0
    assert trust["automatic"] == automatic
    (policy,) = trust["policies"]
    assert (policy["accepted"], policy["to_withdraw"], set(policy["standings"].values())) == (automatic, 0, {"holds"})
    assert (trust["hasty"], trust["decisions"]) == (1, int(str(labelled)) + 1)
    newest = trust["newest_export"]
    assert (newest["name"], newest["stale"], newest["benchmark_pairs"], newest["gate"]) == ("set", False, {}, None)
    assert newest["has_false_captions"] is False
    output = re.sub(" +", " ", plain_text(trust_listing(trust)))
    assert f"accepted automatically {automatic:,} of {trust['accepted']:,}" in output
    assert "export set no pair on images of benchmarks; true captions only" in output
    assert "hasty decisions 1 of " in output
    both = ("--state", "accepted", "--state", "rejected", "--reason", "present")
    assert negwb(workspace, "export", "zz", *both).exit_code == 0
    assert "fails the gate (blind accuracy" in negwb(workspace, "status").stdout
    monkeypatch.setattr("workbench.reports.trust.summary.GATE_PAIRS", 10)
    newest = newest_export(workspace, read_settings(workspace.settings), gather(workspace)["exports"])
    assert newest is not None
    assert (newest["name"], newest["gate"], newest["has_false_captions"]) == ("zz", None, None)
