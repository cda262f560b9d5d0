"""`negwb export-card`: what the card states, its escapes, and that it is deterministic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from support.commands import negwb
from support.labelled_workspace import make_labelled

from curation_db.exporting.blind_gate import GateResult
from curation_db.exporting.manifest import read_manifest, verify
from curation_db.stats.intervals import Interval
from curation_db.storage.store import open_read_only
from curation_db.trust.blind_classifier import BlindResult
from workbench.errors import NegwbError, UsageError
from workbench.reports.exports.card import dataset_card
from workbench.reports.exports.summary import AnnotatorVotes, summarize
from workbench.workspace.layout import Workspace
from workbench.workspace.operations import freeze_set


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    created = make_labelled(tmp_path_factory.mktemp("card") / "ws", 12, images=6)
    freeze_set(created, "set-001")
    return created


def test_the_card_states_the_export(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.exports / "set-001"
    card = negwb(workspace, "export-card", "set-001").stdout
    manifest = read_manifest(folder)
    _, header, body = card.split("---\n", 2)
    metadata = yaml.safe_load(header)
    assert metadata["size_categories"] == ["n<1K"]
    assert metadata["configs"] == [{"config_name": "default", "data_files": "pairs.jsonl"}]
    assert f"`{manifest.export_sha256}`" in body
    assert all(f"`{facts.sha256}`" in body for facts in manifest.files.values())
    assert "## Agreement\n\n* On 12 candidates with two or more accepts or rejects" in body
    cue, count = next(iter(manifest.counts.by_cue.items()))
    row = next(line.split() for line in body.splitlines() if line.startswith(f"{cue} "))
    assert (row[1].strip("#"), row[-1]) == ("", str(count))
    assert len(row[1]) == round(count / manifest.counts.pairs * 24)
    assert body.count("| annotator-") == 2
    assert "| ana | " not in body
    assert "| ana | " in negwb(workspace, "export-card", "set-001", "--names").stdout
    assert "true captions only" in body
    assert workspace.guidelines.read_text().splitlines()[0] in body
    out = tmp_path / "README.md"
    assert negwb(workspace, "export-card", "set-001", "--out", out).stdout == f"{out}\n"
    assert out.read_text() == card
    assert verify(folder) == []
    assert isinstance(negwb(workspace, "export-card", "other").exception, UsageError)


def test_names_and_guidelines_cannot_change_the_layout(workspace: Workspace) -> None:
    folder = workspace.exports / "set-001"
    with open_read_only(workspace.database) as store, store.read() as connection:
        summary = summarize(connection, folder, resamples=50)
    hostile = replace(summary, annotators=(AnnotatorVotes("a|b\n# <b>x", 1, 2, 3),))
    gate = GateResult(0.6, 3, 4, BlindResult(7, 5, Interval(0.5, 0.25, 0.75), ()), None)
    card = dataset_card(replace(hostile, gate=gate), "```\n# not a heading\n````\nend", own_guidelines=True)
    assert "| a\\|b # \\<b\\>x | 1 | 2 | 3 |" in card
    assert "`````markdown\n```\n# not a heading\n````\nend\n`````\n" in card
    assert "true captions only" not in card
    plain = card.replace("\\", "")
    assert "caption of 7 pairs, with an accuracy of 0.50 (upper 95 % bound 0.75; limit 0.60): failed" in plain


def test_a_changed_export_gets_no_card(workspace: Workspace) -> None:
    freeze_set(workspace, "changed")
    items = workspace.exports / "changed" / "items.jsonl"
    items.chmod(0o600)
    items.write_bytes(items.read_bytes() + b"\n")
    assert isinstance(negwb(workspace, "export-card", "changed").exception, NegwbError)
