"""Tests of `negwb progress`: the figures of the progress screen as tables and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.record import Record
from typer.testing import CliRunner

from curation_db.enums import Kind, Reason
from curation_db.review.decisions import PresentationContext
from curation_db.storage.store import open_store
from workbench.cli import app
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    with open_store(created.database) as store:
        record = Record(store)
        numbers = record.add(4, overlap="2")
        for number in numbers:
            record.judge(number, llava=0.1)
        for name in ("ana", "[/x] [31mben"):
            reviewer = record.open_session(name).reviewer
            for number in numbers[:3]:
                reviewer.decide(number, Kind.ACCEPT, shown=PresentationContext(elapsed_ms=6_000))
        reviewer.undo()
        reviewer.decide(numbers[2], Kind.REJECT, reason=Reason.PRESENT, shown=PresentationContext(elapsed_ms=6_000))
    return created


def progress(workspace: Workspace, *words: str) -> str:
    done = CliRunner().invoke(app, ["-w", str(workspace.root), "progress", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_json_has_every_number(workspace: Workspace) -> None:
    data: dict[str, Any] = json.loads(progress(workspace, "--json"), parse_constant=pytest.fail)
    assert [person["decisions"]["accept"] for person in data["people"]] == [2, 3]
    assert data["people"][1]["speed"]["per_hour"] == 600
    assert data["work"]["wanted"] == 2
    assert data["agreement"]["standing"]["items"] == 3
    assert data["agreement"]["standing"]["observed"]["estimate"] == pytest.approx(2 / 3)
    assert data["agreement"]["audit"]["ac1"]["estimate"] is None
    assert "misleads" in data["agreement"]["on_kappa"]
    (judge,) = data["judges"]
    assert (judge["judge"], judge["absent_absent"], judge["labels"]) == ("llava", 2, "decided")
    assert data["balance"]["cue"]["parts"][0]["target"] == pytest.approx(199 / 440)


def test_tables_are_plain_and_safe(workspace: Workspace) -> None:
    output = progress(workspace)
    for title in (
        "SPEED",
        "DECISIONS IN FORCE",
        "REASONS OF REJECTIONS",
        "BALANCE OF CUE",
        "AGREEMENT OF THE VOTES IN FORCE",
    ):
        assert title in output
    assert "\x1b" not in output
    assert "[/x]" in output


def test_the_consensus_is_by_majority_or_weighs_the_annotators(tmp_path: Path) -> None:
    """Two careful annotators and two who accept everything; the last candidate has no careful majority."""
    created = create_workspace(tmp_path / "ws")
    with open_store(created.database) as store:
        record = Record(store)
        numbers = record.add(21, overlap="4")
        writers = {name: record.open_session(name).reviewer for name in ("ana", "ben", "cho", "dan")}
        for at, number in enumerate(numbers):
            for name, writer in writers.items():
                if name in ("cho", "dan") or (at % 2 and name in ("ana", "ben")):
                    writer.decide(number, Kind.ACCEPT)
                elif name != "ben" or at != 20:
                    writer.decide(number, Kind.REJECT, reason=Reason.PRESENT)
    votes = json.loads(progress(created, "--json"))["consensus"]
    assert (votes["method"], votes["differing"], len(votes["candidates"])) == ("majority", [], 21)
    assert votes["candidates"][20] == {
        "candidate": numbers[20],
        "accepts": 2,
        "rejects": 1,
        "p_accept": 1.0,
        "majority": "accept",
        "consensus": "accept",
    }
    votes = json.loads(progress(created, "--consensus", "dawid-skene", "--json"))["consensus"]
    assert votes["method"] == "dawid-skene"
    assert votes["differing"] == numbers[::2]
    assert votes["candidates"][20]["consensus"] == "reject"
    people = {each["name"]: each for each in votes["people"]}
    assert people["ana"]["accuracy"] > 0.95
    assert people["cho"]["accuracy"] < 0.6
    assert people["cho"]["confusion"]["reject"] == pytest.approx([1, 0], abs=0.01)
    assert people["ben"]["votes"] == 20
    output = progress(created, "--consensus", "dawid-skene")
    assert "VOTES AGAINST THEIR CONSENSUS (DAWID-SKENE)" in output
    assert f"{numbers[20]}         accept    reject" in output
    assert "more candidates that differ" not in output


def test_an_empty_workspace_has_empty_tables(tmp_path: Path) -> None:
    empty = json.loads(progress(create_workspace(tmp_path / "ws"), "--json"))
    assert empty["people"] == []
    assert empty["consensus"] == {"method": "majority", "people": [], "candidates": [], "differing": []}
    progress(Workspace(tmp_path / "ws"))
