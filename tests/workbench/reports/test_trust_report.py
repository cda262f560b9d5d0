"""The trust part of `negwb status`: every figure against a record whose labels are known."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.audited import fill
from support.commands import negwb
from support.record import Record

from curation_db.enums import Claim, Kind, Reason, Stream
from curation_db.review.decisions import PresentationContext
from curation_db.stats.intervals import wilson
from curation_db.storage.store import open_store
from curation_db.trust.policy import accept, declare, plan
from workbench.console.tables import plain_text, show
from workbench.reports.status_report import gather
from workbench.reports.trust.summary import newest_export, trust_listing
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.settings import read_settings


def record_rows(workspace: Workspace, statement: str) -> list[tuple[Any, ...]]:
    with open_store(workspace.database) as store:
        return Record(store).rows(statement)


def flip_two(record: Record) -> None:
    """Flip two accepts of the audit after a reveal; the judge finds both right."""
    ana = record.open_session("ana").reviewer
    for (number,) in record.rows("SELECT candidate_id FROM event WHERE kind = 'accept' AND blind LIMIT 2"):
        shown = PresentationContext(Stream.AUDIT, leased=False)
        ana.flip(int(str(number)), Kind.REJECT, reason=Reason.SCOPE, shown=shown)


def test_the_table_fits_a_screen_of_80_columns_and_counts_what_it_leaves_out() -> None:
    """Many judges, policies and exports, with the widest figures."""
    share = {"estimate": 0.88, "low": 0.82, "high": 0.93}
    flips = {"labels": 12_345, "flips": 678, "toward_judges": 600, "away_from_judges": 78, "rate": share}
    judge = {"question": "acceptable", "model": "m", "prompt_version": "1", "labels": 9_999, "ece": 0.12}
    policy = {
        "policy": "accept@dab89a29ead3",
        "accepted": 123_456,
        "to_withdraw": 0,
        "bound": 0.95,
        "label": "acceptable",
    }
    trust = {
        "audit": {
            **{"candidates": 12_345, "labelled": 9_999, "labelled_twice": 1_234},
            **{"observed": share, "ac1": share, "acceptable": share},
        },
        "flips": {"all": flips, "people": [{"name": f"person {n}", **flips} for n in range(30)]},
        "judges": [{**judge, "judge": f"llava-{n}", "ece_calibrated": 0.1, "discrimination": 0.9} for n in range(9)],
        "policies": [
            {
                **policy,
                "precision": 0.95,
                "confidence": 0.95,
                "standings": {"a": "holds", "b": "holds", "c": "suspended"},
            }
            for _ in range(5)
        ],
        **{"accepted": 999_999, "automatic": 123_456, "decisions": 1_234_567, "hasty": 12_345},
        **{"exports": 40, "stale_exports": [f"set-{n:03}" for n in range(39)]},
        "newest_export": {
            **{"name": "set-040", "stale": True, "benchmark_pairs": {}, "has_false_captions": True},
            "gate": {"accuracy": 0.5, "accuracy_90": [0.45, 0.55], "limit": 0.6, "passes": True},
        },
    }
    with io.StringIO() as screen:
        show([trust_listing(trust)], console=Console(file=screen, width=80))
        lines = screen.getvalue().rstrip().splitlines()
    assert len(lines) <= 24, "\n".join(lines)
    text = " ".join(screen_words for screen_words in " ".join(lines).split())
    for words in ("5 more judges", "3 more policies", "2 holds, 1 suspended", "set-003, …", "passes the gate"):
        assert words in text, text


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
        flip_two(record)
        ((open_id,),) = record.rows("SELECT candidate_id FROM candidate_state WHERE state = 'open' LIMIT 1")
        record.open_session("ben").reviewer.decide(
            int(str(open_id)), Kind.ACCEPT, shown=PresentationContext(elapsed_ms=100)
        )
    assert negwb(workspace, "export", "set").exit_code == 0
    trust = json.loads(negwb(workspace, "status", "--json").stdout)["trust"]
    assert (trust["audit"]["candidates"], trust["audit"]["labelled"]) == (labelled, labelled)
    assert (trust["audit"]["labelled_twice"], trust["audit"]["observed"]["estimate"]) == (0, None)
    ((accepted,),) = record_rows(workspace, "SELECT count(*) FROM event WHERE kind = 'accept' AND actor = 'ana'")
    assert trust["audit"]["right"] == accepted
    assert trust["audit"]["acceptable"] == pytest.approx(asdict(wilson(accepted, int(str(labelled)))))
    flips = trust["flips"]
    assert (flips["all"]["labels"], flips["all"]["flips"], flips["all"]["toward_judges"]) == (labelled, 2, 0)
    assert [(each["name"], each["flips"], each["away_from_judges"]) for each in flips["people"]] == [("ana", 2, 2)]
    (judge,) = trust["judges"]
    assert (judge["judge"], judge["labels"]) == ("one", labelled)
    assert 0 < judge["ece"] < 0.3
    assert 0 < judge["brier"] < 0.3
    assert judge["discrimination"] == 1
    assert automatic > 0
    assert trust["automatic"] == automatic
    (policy,) = trust["policies"]
    assert (policy["accepted"], policy["to_withdraw"], set(policy["standings"].values())) == (automatic, 0, {"holds"})
    assert 0.8 <= policy["bound"] < 1
    assert (trust["hasty"], trust["decisions"]) == (1, int(str(labelled)) - 2 + 1), "a flip is not timed"
    newest = trust["newest_export"]
    assert (newest["name"], newest["stale"], newest["benchmark_pairs"], newest["gate"]) == ("set", False, {}, None)
    assert newest["has_false_captions"] is False
    output = re.sub(" +", " ", plain_text(trust_listing(trust)))
    assert f"accepted automatically {automatic:,} of {trust['accepted']:,}" in output
    assert "export set no pair on images of benchmarks; true captions only" in output
    assert "hasty decisions 1 of " in output
    assert "flips after a reveal 2 of " in output
    assert "; 0 to the judges, 2 away" in output
    assert "stale exports 0 of 1" in output
    assert f"holds: {automatic:,} accepted, at least ." in output
    both = ("--state", "accepted", "--state", "rejected", "--reason", "present")
    assert negwb(workspace, "export", "zz", *both).exit_code == 0
    assert "fails the gate (blind accuracy" in negwb(workspace, "status").stdout
    monkeypatch.setattr("workbench.reports.trust.summary.GATE_PAIRS", 10)
    newest = newest_export(workspace, read_settings(workspace.settings), gather(workspace)["exports"])
    assert newest is not None
    assert (newest["name"], newest["gate"], newest["has_false_captions"]) == ("zz", None, None)
