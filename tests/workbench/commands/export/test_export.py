"""Tests of `negwb export`: options, output and refusals."""

from __future__ import annotations

import json
import unicodedata
from contextlib import contextmanager

import pytest
from sqlalchemy import text
from support.letter_model import write_letter_model
from typer.testing import CliRunner

from curation_db.enums import Kind, Reason
from curation_db.events.annotators import begin_session
from curation_db.exporting.freeze import FORMATS
from curation_db.exporting.manifest import read_items, read_manifest, verify
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from workbench.cli import app, main
from workbench.commands.export import DataFormat
from workbench.console import progress_bars
from workbench.errors import NegwbError, NothingToDo, UsageError
from workbench.workspace import operations
from workbench.workspace.create import create_workspace
from workbench.workspace.operations import freeze_set
from workbench.workspace.settings.writer import add_picture_folder


@pytest.fixture
def workspace(tmp_path):
    """Workspace with four candidates: two accepted, one rejected, one open; three events."""
    created = create_workspace(tmp_path / "ws")
    with open_store(created.database) as store:
        with store.write() as connection:
            connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'coco')"))
            connection.execute(text("INSERT INTO image(id, source_id, key, file_name) VALUES (1, 1, '1', '1.jpg')"))
            drafts = [
                NewCandidate(
                    source_id=1, key=f"g/{n}", image_id=1, raw_text=f"no dog {n}", pipeline="P1", generator="g"
                )
                for n in range(4)
            ]
            insert_candidates(connection, drafts, Intake(audit_rate=0.0))
        ana = DecisionWriter(store, begin_session(store, "ana", version="test"))
        ana.decide(1, Kind.ACCEPT)
        ana.decide(2, Kind.ACCEPT)
        ana.decide(3, Kind.REJECT, reason=Reason.PRESENT)
    return created


def export(workspace, *args):
    return CliRunner().invoke(app, ["-w", str(workspace.root), "export", *args])


def test_the_path_and_a_summary_are_printed(workspace):
    result = export(workspace)
    assert result.exit_code == 0
    assert result.stdout == f"{workspace.exports / 'set-001'}\n"
    assert "froze 2 pairs of 1 image as set-001 (event 3, coco.json, items.jsonl, pairs.jsonl)" in result.stderr
    assert verify(workspace.exports / "set-001") == []


def test_tokens_are_counted_as_the_model_of_the_settings_does(workspace):
    """The two texts "no dog 0" and "no dog 1" have six letters, and "no dog 1" becomes longer by an edit."""
    write_letter_model(workspace.root / "base", 8)
    text = workspace.settings.read_text()
    workspace.settings.write_text(text.replace("[train]\n", '[train]\nmodel = "base"\n'))
    with open_store(workspace.database) as store:
        DecisionWriter(store, begin_session(store, "ana", version="test")).edit(2, "no brown dog")
    result = export(workspace, "--json")
    assert sorted(item.tokens for item in read_items(workspace.exports / "set-001")) == [6 + 2, 10 + 2]
    data = json.loads(result.stdout)
    assert data["text_limit"] == {"most_tokens": 8, "tokenizer": "bpe.txt.gz of base"}
    assert data["counts"]["too_long"] == 1
    assert "1 have more than the 8 tokens that the model reads" in result.stderr
    assert read_manifest(workspace.exports / "set-001").text_limit == data["text_limit"]


def test_a_missing_tokenizer_is_reported_once(workspace, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    text = workspace.settings.read_text()
    workspace.settings.write_text(text.replace("[train]\n", '[train]\nmodel = "ViT-B-16-SigLIP:webli"\n'))
    result = export(workspace, "--json")
    assert result.stderr.count("CLIP's tokenizer counts the tokens instead") == 1
    assert json.loads(result.stdout)["text_limit"] == {"most_tokens": 64, "tokenizer": "clip"}


def test_missing_images_are_counted_with_the_command_to_set_the_folder(workspace, tmp_path):
    with open_store(workspace.database) as store, store.write() as connection:
        for number, name in ((2, "there.jpg"), (3, "sub/Brücke.jpg"), (4, "../x\x1b[31m.jpg"), (5, None)):
            row = {"id": number, "name": name, "url": None if name else "https://example.org/a.jpg"}
            connection.execute(
                text("INSERT INTO image(id, source_id, key, file_name, url) VALUES (:id, 1, :id, :name, :url)"), row
            )
            drafts = [
                NewCandidate(
                    source_id=1, key=f"h/{number}", image_id=number, raw_text="no cat", pipeline="P1", generator="h"
                )
            ]
            insert_candidates(connection, drafts, Intake(audit_rate=0.0))
    every = ("--state", "accepted", "--state", "open")
    result = export(workspace, "--json", *every)
    assert json.loads(result.stdout)["missing_pictures"] == 4
    assert "4 of 4 images are not in the image folders (first: coco/" in result.stderr
    assert "--source coco --pictures FOLDER" in result.stderr
    assert "\x1b" not in result.stderr
    (tmp_path / "pictures" / "sub").mkdir(parents=True)
    add_picture_folder(workspace.settings, "coco", "../pictures")
    for name in ("1.jpg", "there.jpg", unicodedata.normalize("NFD", "sub/Brücke.jpg")):
        (tmp_path / "pictures" / name).touch()
    result = export(workspace, "--json", *every)
    assert json.loads(result.stdout)["missing_pictures"] == 1
    result = export(workspace, "--json")
    assert json.loads(result.stdout)["missing_pictures"] == 0
    assert "images are not in" not in result.stderr


def test_an_invalid_setting_is_reported_before_the_export(workspace):
    workspace.settings.write_text("[pictures\n")
    assert isinstance(export(workspace).exception, UsageError)
    assert not workspace.exports.exists() or not list(workspace.exports.iterdir())


def test_json_is_one_object(workspace):
    result = export(workspace, "mine", "--json")
    data = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert (data["name"], data["path"], data["event"]) == ("mine", str(workspace.exports / "mine"), 3)
    assert data["counts"]["pairs"] == 2
    manifest = json.loads((workspace.exports / "mine" / "manifest.json").read_text())
    assert data["export_sha256"] == manifest["export_sha256"]


def test_at_and_state_and_format(workspace):
    assert export(workspace, "a", "--at", "1", "--format", "jsonl").exit_code == 0
    assert {path.name for path in (workspace.exports / "a").iterdir()} == {
        "manifest.json",
        "items.jsonl",
        "pairs.jsonl",
    }
    assert [item.key for item in read_items(workspace.exports / "a")] == ["g/0"]
    export(workspace, "b", "--state", "rejected", "--state", "open")
    assert [(item.state, item.reasons) for item in read_items(workspace.exports / "b")] == [
        ("rejected", ("present",)),
        ("open", ()),
    ]


def test_equal_bytes_under_another_name_and_order_of_states(workspace):
    export(workspace, "a", "--state", "accepted", "--state", "rejected")
    export(workspace, "b", "--state", "rejected", "--state", "accepted", "--at", "3")
    a, b = ({p.name: p.read_bytes() for p in (workspace.exports / n).iterdir()} for n in "ab")
    assert a == b


def test_refusals(workspace):
    export(workspace, "a")
    with pytest.raises(UsageError, match="already"):
        freeze_set(workspace, "a")
    with pytest.raises(UsageError, match="not a valid export name"):
        freeze_set(workspace, "../a")
    with pytest.raises(UsageError, match="no event 77"):
        freeze_set(workspace, at=77)
    with pytest.raises(NothingToDo) as refused:
        freeze_set(workspace, at=0)
    assert refused.value.exit_code == 5
    assert "negwb curate" in refused.value.hint


def test_a_folder_that_cannot_be_written(workspace):
    workspace.exports.write_text("a file, not a folder")
    with pytest.raises(NegwbError, match="cannot write"):
        freeze_set(workspace)


def test_main_returns_exit_codes(workspace, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["negwb", "-w", str(workspace.root), "export", "--at", "0"])
    assert main() == 5
    assert capsys.readouterr().err.startswith("negwb: no pair was accepted at event 0")


def test_progress_shows_only_for_a_long_export(workspace, monkeypatch):
    data = []

    @contextmanager
    def bars():
        yield lambda *step: data.append(step)

    monkeypatch.setattr(progress_bars, "step_bars", bars)
    freeze_set(workspace)
    assert data == []
    monkeypatch.setattr(operations, "_QUIET_S", -1.0)
    freeze_set(workspace)
    assert data == [("writing pairs", 2, 2)]


def test_pairs_that_cannot_be_trained_on_are_reported(workspace):
    with open_store(workspace.database) as store, store.write() as connection:
        connection.execute(text("UPDATE image SET file_name = NULL"))
    output = export(workspace).stderr
    assert "2 without the original caption" in output
    assert "2 without a file name of the image" in output


def test_pairs_generated_with_the_mix_of_the_benchmark_are_reported(workspace):
    """GIVEN texts generated with NegRefCOCOg's cues THEN the export reports it."""
    assert "NegRefCOCOg" not in export(workspace).stderr
    with open_store(workspace.database) as store:
        drafts = [
            NewCandidate(
                source_id=1,
                key="m/1",
                image_id=1,
                raw_text="no cat",
                pipeline="P1",
                generator="g",
                extra='{"mix": "negrefcocog"}',
            )
        ]
        with store.write() as connection:
            (number,) = insert_candidates(connection, drafts, Intake(audit_rate=0.0))
        DecisionWriter(store, begin_session(store, "ana", version="test")).decide(number, Kind.ACCEPT)
    result = export(workspace, "--json")
    assert "1 pair generated with NegRefCOCOg's cues and positions" in result.stderr
    counts = json.loads(result.stdout)["counts"]
    assert (counts["by_mix"], counts["without_mix"]) == ({"negrefcocog": 1}, 2)


def test_the_command_offers_the_formats_of_the_record() -> None:
    assert set(DataFormat) - {DataFormat.ALL} == set(FORMATS)
