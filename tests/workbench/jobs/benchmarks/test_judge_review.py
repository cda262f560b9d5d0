"""Tests of the review of a benchmark's judge: the sample in the record, the measured errors, the corrected score."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.answering_server import answering_server, completion
from support.benches import TinyModel, draw_picture
from typer.testing import CliRunner, Result

from benchmarks.judged import ImageAnswer, ImageQuestion
from benchmarks.registry import task_from_file
from benchmarks.results import list_results
from benchmarks.runner import run_task
from benchmarks.schema import JudgeFacts
from curation_db.enums import BENCHMARK, Kind, Reason, State, Stream
from curation_db.events.annotators import begin_session
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.stats.misclassification import JudgeErrors, corrected_share
from curation_db.storage.store import open_store
from workbench.cli import app
from workbench.errors import NothingToDo
from workbench.jobs.benchmarks.judge_review import add_review
from workbench.reports.trust.judge_errors import measured_errors
from workbench.tui.rendering.items import scores
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.operations import freeze_set

THINGS = ("lamp", "cup", "dog", "hat", "car", "tree", "book", "kite")
TEXTS = 40
BLIND = PresentationContext(stream=Stream.AUDIT, blind=True)


def draw(*parts: str) -> float:
    return hashlib.sha256("\0".join(parts).encode()).digest()[0] / 256


def is_true(sha256: str, question: str) -> bool:
    return draw("truth", sha256, question) < (0.9 if "desk" in question else 0.4)


class ErringJudge:
    """Knows the truth and errs on a fifth of the questions."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def facts(self) -> JudgeFacts:
        # fmt: off
        return {"id": self.name, "name": self.name, "models": ["m"], "prompt": "p@1", "simulated": True,
                "blind": False, "questions": 0, "unclear": 0, "shares": {}}
        # fmt: on

    def ask(self, questions: Sequence[ImageQuestion], progress: Any) -> list[ImageAnswer]:
        answers = [is_true(q.sha256, q.text) != (draw(self.name, q.sha256, q.text) < 0.2) for q in questions]
        return [ImageAnswer(yes, 0.9 if yes else 0.1) for yes in answers]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with results of two models and two judges."""
    created = create_workspace(tmp_path_factory.mktemp("judged") / "ws")
    pictures = created.root / "photos"
    pictures.mkdir()
    for number in range(12):
        draw_picture(pictures / f"{number}.jpg", (40, 30), number + 1)
    rows = [
        [f"a desk {n} with no {thing}", f"is there a {thing} {n}?", f"is there a desk {n}?"]
        for n in range(TEXTS)
        for thing in [THINGS[n % len(THINGS)]]
    ]
    (created.root / "desks.json").write_text(json.dumps(rows))
    task = task_from_file("desks", created.root / "desks.json", pictures)
    for seed, judge in ((1, "one"), (2, "one"), (1, "two")):
        run_task(TinyModel(seed), task, results_folder=created.root / "results", judge=ErringJudge(judge))
    return created


@pytest.fixture
def workspace(judged: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it."""
    return Workspace(shutil.copytree(judged.root, tmp_path / "ws"))


def negwb(workspace: Workspace, *words: object) -> Result:
    return CliRunner().invoke(app, ["-w", str(workspace.root), *map(str, words)])


def rows_of(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(workspace.database)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


_PAIRS = "SELECT c.id, c.text, lower(hex(i.content_sha256)) FROM candidate c JOIN image i ON i.id = c.image_id"


def review_all(workspace: Workspace) -> None:
    """Let a person who knows the truth decide on every card, blind."""
    with open_store(workspace.database) as store:
        ana = DecisionWriter(store, begin_session(store, "ana", version="t"))
        for number, text, sha256 in rows_of(workspace, _PAIRS):
            n, thing = text.split()[2], text.split()[-1]
            if is_true(sha256, f"is there a {thing} {n}?"):
                ana.decide(number, Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
            elif not is_true(sha256, f"is there a desk {n}?"):
                ana.decide(number, Kind.REJECT, reason=Reason.REST_FALSE, shown=BLIND)
            else:
                ana.decide(number, Kind.ACCEPT, shown=BLIND)


def test_the_sample_becomes_audit_cards(workspace: Workspace) -> None:
    done = negwb(workspace, "bench", "review", "desks", "--sample", 20, "--json")
    assert done.exit_code == 0, done.stderr
    first = json.loads(done.stdout)
    assert (first["sample"], first["new"]) == (20, 20)
    rows = rows_of(workspace, "SELECT pipeline, audit, audit_rate, generator FROM candidate")
    assert set(rows) == {(BENCHMARK, 1, 1.0, "desks")}
    judges = rows_of(workspace, "SELECT DISTINCT judge, question, simulated FROM verdict")
    assert ("one", "present", 1) in judges
    assert ("one", "acceptable", 1) in judges
    hashes = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (workspace.root / "photos").iterdir()}
    before = {(text, sha256) for _, text, sha256 in rows_of(workspace, _PAIRS)}
    assert {sha256 for _, sha256 in before} <= hashes
    more = add_review(workspace, "desks", 50)
    assert (more.sample, more.new) == (50, 30)
    assert before < {(text, sha256) for _, text, sha256 in rows_of(workspace, _PAIRS)}
    assert add_review(workspace, "desks", 50).new == 0


def test_the_verdicts_are_the_answers(workspace: Workspace) -> None:
    add_review(workspace, "desks", 1000)
    answered = {
        (stored.result["judge"]["name"], row["text"], row["answers"][0]["sha256"]): row["answers"][0]
        for stored in list_results(workspace.root / "results").results
        for row in stored.items()
    }
    sql = f"SELECT v.judge, v.question, v.p, p.* FROM verdict v JOIN ({_PAIRS}) p ON p.id = v.candidate_id"
    verdicts = rows_of(workspace, sql)
    assert len(verdicts) == 2 * len(answered)
    for judge, question, p, _, text, sha256 in verdicts:
        answer = answered[judge, text, sha256]
        if question == "present":
            assert p == answer["p_denied"]
        else:
            assert (p >= 0.5) == (answer["scene"] is True and answer["denied"] is False)


def test_the_report_corrects_for_the_measured_error(workspace: Workspace) -> None:
    report = json.loads(negwb(workspace, "report", "--json").stdout)
    assert {row["corrected"] for row in report["rows"]} == {None}
    plain = negwb(workspace, "report").stdout
    assert "not measured" in plain
    assert "negwb bench review desks" in plain
    add_review(workspace, "desks", 60)
    review_all(workspace)
    listing = list_results(workspace.root / "results").results
    errors = measured_errors(workspace, listing)
    assert set(errors) == {"one", "two"}
    assert errors["one"] == _counted_by_hand(workspace, "one")
    report = json.loads(negwb(workspace, "report", "--json").stdout)
    for row in report["rows"]:
        expected = corrected_share(row["correct"], row["n"], errors[row["judge"]["id"]])
        assert expected is not None
        assert row["corrected"] == {"estimate": expected.estimate, "low": expected.low, "high": expected.high}
        table = csv.DictReader(io.StringIO(negwb(workspace, "report", "--csv").stdout))
        figures = [each for each in table if (each["kind"], each["model_hash"]) == ("corrected", row["model_hash"])]
        assert f"{expected.low}" in {each["low"] for each in figures}
        assert row["corrected"]["high"] - row["corrected"]["low"] > row["accuracy"]["high"] - row["accuracy"]["low"]
    assert "not measured" not in negwb(workspace, "report").stdout


def _counted_by_hand(workspace: Workspace, judge: str) -> JudgeErrors:
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    reviewed = {(text, sha256) for _, text, sha256 in rows_of(workspace, _PAIRS)}
    seen = set()
    for stored in list_results(workspace.root / "results").results:
        for row in stored.items() if stored.result["judge"]["name"] == judge else []:
            for image in row["answers"]:
                pair = row["text"], image["sha256"]
                if pair in reviewed and pair not in seen:
                    seen.add(pair)
                    n, thing = row["text"].split()[2], row["text"].split()[-1]
                    right = is_true(image["sha256"], f"is there a desk {n}?")
                    right = right and not is_true(image["sha256"], f"is there a {thing} {n}?")
                    counts[right, image["scene"] is True and image["denied"] is False] += 1
    right, wrong = counts[True, True] + counts[True, False], counts[False, True] + counts[False, False]
    return JudgeErrors(counts[True, True], right, counts[False, False], wrong)


def test_reviewed_pairs_are_never_trained_on(workspace: Workspace) -> None:
    add_review(workspace, "desks", 60)
    review_all(workspace)
    accepted = rows_of(workspace, f"SELECT count(*) FROM candidate_state WHERE state = '{State.ACCEPTED}'")[0][0]
    assert accepted > 0
    with pytest.raises(NothingToDo):
        freeze_set(workspace)
    done = negwb(workspace, "export", "all", "--with-benchmarks", "--json")
    assert json.loads(done.stdout)["counts"]["pairs"] == accepted


def test_reviewed_pairs_are_not_judged_again(workspace: Workspace) -> None:
    add_review(workspace, "desks", 5)
    with answering_server(lambda body: (200, completion("Yes."))) as server:
        done = negwb(workspace, "generate", "judge", "--judge", f"openai:{server.url}")
        assert isinstance(done.exception, NothingToDo)
        assert not server.requests


def test_nothing_was_judged(workspace: Workspace) -> None:
    with pytest.raises(NothingToDo) as caught:
        add_review(workspace, "simpleneg", 10)
    assert "bench run simpleneg" in caught.value.hint


def test_the_answers_stand_beside_each_retrieved_image(workspace: Workspace) -> None:
    row = list_results(workspace.root / "results").results[0].items()[0]
    row["answers"][0].update(scene=True, denied=True)
    row["answers"][1].update(scene=None, denied=False)
    lines = scores(row, "tiny", None, "", 60).plain.splitlines()
    assert len(lines) == len(row["options"])
    assert lines[0].endswith("scene ✓ negation ✗")
    assert lines[1].endswith("scene ? negation ✓")
