"""Tests of judged benchmarks with a judge behind a real HTTP server on loopback."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.answering_server import AnsweringServer, answering_server, completion, image_of, last_text, refusal
from support.clip_models import make_tiny
from typer.testing import CliRunner, Result

from benchmarks.judged import ImageAnswer, ImageQuestion
from benchmarks.results import StoredResult, list_results
from trainers.models.saving import save_model
from workbench.cli import app
from workbench.errors import UsageError
from workbench.generation.budget import Budget, BudgetReached
from workbench.generation.engines.protocol import EngineStopped
from workbench.generation.runs.session import ItemsFailed
from workbench.jobs.benchmarks.judge import judge_plan, open_judge
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}
ROWS = [
    ["a red wall with no blue door", "is the image blue?", "is the image red?"],
    ["a green wall, not a red one", "is the image red?", "is the image green?"],
    ["no green thing, something blue", "is the image green?", "is the image blue?"],
]
QUESTIONS = 6 * len(COLOURS)
"""Two questions of each row about each of six images; each question occurs in two rows."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    for seed in (1, 2):
        save_model(make_tiny(seed=seed), folder / f"tiny-{seed}")
    return [folder / "tiny-1", folder / "tiny-2"]


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    with answering_server(look) as running:
        yield running


def look(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Answer from the pixels of the image that was sent."""
    image = Image.open(io.BytesIO(base64.b64decode(image_of(body).partition(",")[2]))).convert("RGB")
    red, green, blue = image.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    seen = max({"red": red, "green": green, "blue": blue}.items(), key=lambda pair: pair[1])[0]
    asked = last_text(body).split("?")[0].split()[-1]
    return 200, completion("Yes." if seen == asked else "No.")


@pytest.fixture
def workspace(tmp_path: Path, server: AnsweringServer) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    (created.root / "walls").mkdir()
    for number, colour in enumerate([*COLOURS.values(), *COLOURS.values()]):
        Image.new("RGB", (32 + number, 32), colour).save(created.root / "walls" / f"{number}.png")
    (created.root / "walls.json").write_text(json.dumps(ROWS))
    with created.settings.open("a") as file:
        file.write(f'\n[engines.eye]\nkind = "openai"\nurl = "{server.url}"\n')
    return created


def run(workspace: Workspace, *words: object) -> Result:
    arguments = ["run", workspace.root / "walls.json", "--pictures", workspace.root / "walls", *words]
    return CliRunner().invoke(app, ["-w", str(workspace.root), "bench", *map(str, arguments)])


def stored(workspace: Workspace) -> tuple[StoredResult, ...]:
    return list_results(workspace.root / "results").results


def test_a_server_answers_for_what_was_retrieved(
    workspace: Workspace, server: AnsweringServer, models: list[Path]
) -> None:
    done = run(workspace, "--judge", "eye", "--model", models[0], "--json")
    assert done.exit_code == 0, done.stderr
    strict, official = json.loads(done.stdout)["results"]
    assert (strict["task"], strict["judge"]["name"], strict["judge"]["models"]) == ("walls", "eye", ["stub"])
    assert (strict["judge"]["simulated"], strict["judge"]["unclear"]) == (False, 0)
    assert strict["judge"]["questions"] == len(server.requests) <= QUESTIONS
    assert {last_text(body).partition("?")[2] for body in server.requests} == {
        "\nAnswer the question with a yes or no."
    }
    for result in stored(workspace):
        for row in result.items():
            (_, denied, scene) = next(each for each in ROWS if each[0] == row["text"])
            for name, answer in zip(row["options"], row["answers"], strict=True):
                colour = list(COLOURS)[int(Path(name).stem) % 3]
                assert answer["scene"] is (f"is the image {colour}?" == scene)
                assert answer["denied"] is (f"is the image {colour}?" == denied)
    assert official["metrics"]["scene_at_1"]["correct"] == official["metrics"]["both_at_1"]["correct"]


def test_answers_are_asked_once(workspace: Workspace, server: AnsweringServer, models: list[Path]) -> None:
    assert run(workspace, "--judge", "eye", "--model", models[0]).exit_code == 0
    asked = len(server.requests)
    done = run(workspace, "--judge", "eye", "--model", models[0], "--model", models[1])
    assert done.exit_code == 0, done.stderr
    assert asked <= len(server.requests) <= QUESTIONS
    bodies = [(image_of(body), last_text(body)) for body in server.requests]
    assert len(bodies) == len(set(bodies))
    assert "Avg.5 %" in done.stdout
    assert "answered by eye (stub)" in done.stderr
    report = CliRunner().invoke(app, ["-w", str(workspace.root), "report"])
    assert "negation %" in report.stdout
    assert "answered by eye (stub)" in report.stdout


@pytest.fixture
def questions(workspace: Workspace) -> list[ImageQuestion]:
    paths = sorted((workspace.root / "walls").iterdir())
    texts = [f"is the image {colour}?" for colour in COLOURS]
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return [ImageQuestion(*image, text) for image in zip(paths, hashes, strict=True) for text in texts]


def ask(workspace: Workspace, questions: list[ImageQuestion], **options: Any) -> list[ImageAnswer]:
    seen: list[tuple[int, int]] = []
    with open_judge(workspace, ["eye"], **options) as judge:
        answers = judge.ask(questions, lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, len(questions))
    assert seen[-1] == (len(questions), len(questions))
    return answers


def colours_seen(questions: list[ImageQuestion]) -> list[ImageAnswer]:
    return [
        ImageAnswer(same, float(same))
        for question in questions
        for same in [question.text == f"is the image {list(COLOURS)[int(question.path.stem) % 3]}?"]
    ]


def test_a_stopped_run_continues(workspace: Workspace, server: AnsweringServer, questions: list[ImageQuestion]) -> None:
    with pytest.raises(BudgetReached):
        ask(workspace, questions, budget=Budget(max_requests=4))
    assert len(server.requests) == 4
    assert ask(workspace, questions) == colours_seen(questions)
    bodies = [(image_of(body), last_text(body)) for body in server.requests]
    assert len(bodies) == len(set(bodies)) == len(questions)
    moved = [question._replace(path=workspace.root / "gone.png") for question in questions]
    assert ask(workspace, moved) == colours_seen(questions)  # the content identifies an image, not its path
    assert len(server.requests) == len(questions)


def test_missing_answers(workspace: Workspace, server: AnsweringServer, questions: list[ImageQuestion]) -> None:
    server.reply = lambda body: refusal("too green") if "green" in last_text(body) else look(body)
    with pytest.raises(ItemsFailed, match=r"6 of 18 questions have no answer; refused: .*too green"):
        ask(workspace, questions)
    server.reply, before = look, len(server.requests)
    assert ask(workspace, questions) == colours_seen(questions)
    assert [("green" in last_text(body)) for body in server.requests[before:]] == [True] * 6
    server.reply = lambda body: refusal("closed")
    with pytest.raises(EngineStopped):
        ask(workspace, [question._replace(text="is the image large?") for question in questions])


def test_the_record_holds_answers_and_nothing_else(workspace: Workspace, questions: list[ImageQuestion]) -> None:
    ask(workspace, questions)
    connection = sqlite3.connect(workspace.database)
    tables = ("image", "candidate", "verdict", "event", "generation_item", "generation_answer")
    known = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in known & set(tables)}
    connection.close()
    assert {name: count for name, count in counts.items() if count} == {"generation_answer": len(questions)}


def test_an_answer_that_is_neither_yes_nor_no(
    workspace: Workspace, server: AnsweringServer, questions: list[ImageQuestion]
) -> None:
    server.reply = lambda body: (200, completion("Perhaps."))
    assert ask(workspace, questions) == [ImageAnswer(None, None)] * len(questions)


def test_the_identity_of_a_judge(workspace: Workspace, server: AnsweringServer, questions: list[ImageQuestion]) -> None:
    with workspace.settings.open("a") as file:
        file.write(f'\n[engines.other]\nkind = "openai"\nurl = "{server.url}"\n')
        file.write(f'\n[engines.small]\nkind = "openai"\nurl = "{server.url}"\npicture_side = 64\n')

    def identity(*names: str) -> str:
        with open_judge(workspace, names) as judge:
            judge.ask(questions[:1], lambda done, total: None)
            return judge.facts["id"]

    assert identity("eye") == identity("other") != identity("small")
    assert identity("eye", "small") not in {identity("eye"), identity("small")}


def test_wrong_judges(workspace: Workspace) -> None:
    for names in ([], ["annotations"], ["nobody"]):
        with pytest.raises(UsageError):
            judge_plan(workspace, names)
    (judge,) = judge_plan(workspace, ["eye:acceptable"]).judges
    assert judge == judge_plan(workspace, ["eye"]).judges[0]
