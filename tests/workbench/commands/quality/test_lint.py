"""Tests of `negwb lint`: every rule, and rules turned off in negwb.toml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.letter_model import write_letter_model
from typer.testing import CliRunner, Result

from curation_db.atomic_write import replace_file
from curation_db.enums import Kind
from curation_db.events.annotators import begin_session
from curation_db.lint.linter import RULES, Rule
from curation_db.review.decisions import DecisionWriter
from curation_db.search.cards import load_card
from curation_db.storage.store import open_store
from workbench.cli import app
from workbench.errors import NothingToDo, UsageError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import NoWorkspace, Workspace
from workbench.workspace.settings.settings import read_settings

ROWS = """image,caption,candidate,concept
a.jpg,a dog on a sofa,a dog without a hat,hat
a.jpg,a dog on a sofa,"A dog, without a hat!",hat
a.jpg,a dog on a sofa,a dog without the hat,hat
b.jpg,a cat in a hat,a cat without a hat,hat
c.jpg,a cow in a field,Here is the caption: no cow,cow
d.jpg,a pig in the mud,a pig in the mud,pig
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    (tmp_path / "set.csv").write_text(ROWS)
    assert negwb(created, "import", tmp_path / "set.csv").exit_code == 0
    return created


def negwb(workspace: Workspace, *args: object) -> Result:
    return CliRunner().invoke(app, ["-w", str(workspace.root), *map(str, args)])


def counts(workspace: Workspace) -> dict[str, Any]:
    return json.loads(negwb(workspace, "lint", "--json").stdout)["rules"]


def ids(workspace: Workspace, *args: str) -> list[int]:
    done = negwb(workspace, "lint", *args, "--json")
    return [json.loads(line)["id"] for line in done.stdout.splitlines()]


def on_card(workspace: Workspace, number: int) -> set[Rule]:
    with open_store(workspace.database) as store, store.read() as connection:
        checks = read_settings(workspace.settings).lint
        card = load_card(connection, number, **({"checks": checks} if checks else {}))
    return {finding.rule for finding in card.findings if not finding.ok}


def test_every_rule_is_counted_and_explained(workspace: Workspace) -> None:
    data = counts(workspace)
    assert set(data) == set(RULES)
    assert {rule: count for rule, count in data.items() if count} == {
        "no-cue": 1,
        "unchanged": 1,
        "chatter": 1,
        "minimal-edit": 4,
        "in-caption": 3,
        "duplicate": 2,
        "near-duplicate": 3,
    }
    assert "6 of 6 candidates" in negwb(workspace, "lint").stderr
    explained = negwb(workspace, "lint", "--rules").stdout
    assert all(rule in explained and info.advice in explained for rule, info in RULES.items())


def test_the_rules_are_explained_without_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["lint", "--rules", "--json"])
    assert done.exit_code == 0
    assert {rule["rule"]: rule["on"] for rule in json.loads(done.stdout)} == dict.fromkeys(RULES, True)
    assert isinstance(CliRunner().invoke(app, ["lint"]).exception, NoWorkspace)


def test_a_rule_and_a_state_filter(workspace: Workspace) -> None:
    assert ids(workspace, "--rule", "duplicate") == [1, 2]
    assert ids(workspace, "--rule", "chatter", "--rule", "unchanged") == [5, 6]
    with open_store(workspace.database) as store:
        DecisionWriter(store, begin_session(store, "ana", version="test")).decide(1, Kind.ACCEPT)
    assert ids(workspace, "--rule", "duplicate", "--state", "accepted") == [1]
    assert "once more on this image" in negwb(workspace, "lint", "--rule", "duplicate").stdout


def test_candidates_replaced_by_an_edit_do_not_count(workspace: Workspace) -> None:
    with open_store(workspace.database) as store:
        reviewer = DecisionWriter(store, begin_session(store, "ana", version="test"))
        reviewer.edit(2, "a dog that wears no hat")
    assert ids(workspace, "--rule", "duplicate") == []
    assert Rule.DUPLICATE not in on_card(workspace, 1)


def test_a_duplicate_on_the_image_shows_on_the_card(workspace: Workspace) -> None:
    assert on_card(workspace, 1) >= {Rule.DUPLICATE, Rule.NEAR_DUPLICATE} - {Rule.NEAR_DUPLICATE}
    assert Rule.NEAR_DUPLICATE in on_card(workspace, 3)
    assert Rule.DUPLICATE not in on_card(workspace, 3)


def test_a_rule_that_is_off_is_off_everywhere(workspace: Workspace) -> None:
    replace_file(workspace.settings, '[lint]\noff = ["duplicate"]\nfrequent_count = 3\nfrequent_share = 0.5\n')
    data = counts(workspace)
    assert data["duplicate"] is None
    assert data["over-frequent"] == 1  # of four, three are half of six
    assert Rule.DUPLICATE not in on_card(workspace, 1)
    assert isinstance(negwb(workspace, "lint", "--rule", "duplicate").exception, UsageError)
    assert "off" in negwb(workspace, "lint").stdout


def test_tokens_are_counted_as_the_model_of_the_settings_does(workspace: Workspace) -> None:
    """On cards, in the list and in the search; also after the model was changed."""
    found = ["browse", "lint:too-long", "--json"]
    assert isinstance(negwb(workspace, *found).exception, NothingToDo)
    write_letter_model(tmp := workspace.root / "base", 18)
    replace_file(workspace.settings, '[train]\nmodel = "base"\n')
    texts = {json.loads(line)["text"] for line in negwb(workspace, *found).stdout.splitlines()}
    assert texts == {"A dog, without a hat!", "a dog without the hat", "Here is the caption: no cow"}
    assert ids(workspace, "--rule", "too-long") == [2, 3, 5]
    assert Rule.TOO_LONG in on_card(workspace, 3)
    assert Rule.TOO_LONG not in on_card(workspace, 4)
    (tmp / "bpe.txt.gz").write_bytes(b"")
    done = negwb(workspace, "lint", "--rule", "too-long", "--json")
    assert done.stdout == ""
    assert done.stderr.count("CLIP's tokenizer counts the tokens instead") == 1
    assert str(tmp / "bpe.txt.gz") in done.stderr


@pytest.mark.parametrize(
    "line", ["of = []", 'off = ["no-such-rule"]', "off = 'no-cue'", "most_tokens = 90", "frequent_share = true"]
)
def test_an_invalid_setting_is_reported(workspace: Workspace, line: str) -> None:
    replace_file(workspace.settings, f"[lint]\n{line}\n")
    error = negwb(workspace, "lint").exception
    assert isinstance(error, UsageError)
    assert "[lint]" in error.message
    assert error.hint or "expected" in error.message


@pytest.mark.parametrize("args", [("--rule", "no-such"), ("--state", "no-such")])
def test_unknown_names_are_reported_with_the_known_ones(workspace: Workspace, args: tuple[str, str]) -> None:
    error = negwb(workspace, "lint", *args).exception
    assert isinstance(error, UsageError)
    assert "known: " in error.hint


def test_chat_text_in_a_negbench_file_is_reported(tmp_path: Path) -> None:
    """Published NegBench captions contain remains of the chat that produced them."""
    created = create_workspace(tmp_path / "nb")
    cells = "image_path,correct_answer,caption_0,caption_1,correct_answer_template"
    data = "Wait, this caption isn't possible according to the rules. A kitchen with no cat."
    rows = [f'coco/val2017/{n:012d}.jpg,0,"{text}",A cat.,negative' for n, text in enumerate([data, "No cat."], 1)]
    (tmp_path / "COCO_val_mcq.csv").write_text("\n".join([cells, *rows]))
    assert "(negbench-mcq) as coco" in negwb(created, "import", tmp_path / "COCO_val_mcq.csv").stderr
    assert counts(created)["chatter"] == 1
    assert ids(created, "--rule", "chatter") == [1]
