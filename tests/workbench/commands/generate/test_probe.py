"""A proof is consulted: judges that do not see images, findings that adapt requests, answers that decide nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.answering_server import AnsweringServer, answering_server, completion, last_text, refusal, token_logprobs
from typer.testing import CliRunner, Result

from workbench.annotation.wording import origin
from workbench.cli import app
from workbench.errors import ExitCode, NegwbError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.writer import add_picture_folder

CAPTIONS = (
    "a man riding a horse",
    "a dog on a sofa",
    "two cups on a table",
    "a bus in a street",
    "a cat on a mat",
    "a boat on a lake",
    "a bird in a tree",
    "a train at a station",
    "a pizza on a plate",
    "a clock on a wall",
    "a kite in the sky",
    "a horse in a field",
    "a bench in a park",
)
ENGINES = """
[generate]
proposer = "llm"
judges = ["vlm"]
[engines.llm]
kind = "scripted"
options = {{ clumsy = 0.0 }}
[engines.vlm]
kind = "openai"
model = "stub"
url = "{url}"
"""


def same_for_every_image(body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, completion("No" if "yes" in last_text(body) else "It is grey.")


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    with answering_server(same_for_every_image) as running:
        yield running


@pytest.fixture
def workspace(tmp_path: Path, server: AnsweringServer) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    (tmp_path / "images").mkdir()
    for number, _ in enumerate(CAPTIONS, 1):
        Image.new("RGB", (16, 16), (60 * number, 0, 0)).save(tmp_path / "images" / f"{number}.jpg")
    images = [{"id": n, "file_name": f"{n}.jpg"} for n, _ in enumerate(CAPTIONS, 1)]
    captions = [{"id": n, "image_id": n, "caption": caption} for n, caption in enumerate(CAPTIONS, 1)]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": captions}))
    with created.settings.open("a") as file:
        file.write(ENGINES.format(url=server.url))
    add_picture_folder(created.settings, "coco", str(tmp_path / "images"))
    assert negwb(created, "import", tmp_path / "c.json", "--source", "coco").exit_code == 0
    assert negwb(created, "generate", "probe", "vlm").exit_code == 0
    server.requests.clear()
    return created


def negwb(workspace: Workspace, *words: object) -> Result:
    return CliRunner().invoke(app, ["-w", str(workspace.root), *map(str, words)])


def error(done: Result) -> NegwbError:
    assert isinstance(done.exception, NegwbError), done.exception
    return done.exception


def rows(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(workspace.database) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize(
    "words",
    [[], ["judge"], ["--dry-run"], ["--emit-requests", "requests.jsonl"], ["--judge", "vlm:acceptable"]],
)
def test_a_blind_judge_is_refused_before_any_request(
    workspace: Workspace, server: AnsweringServer, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = error(negwb(workspace, "generate", *words))
    assert refused.exit_code == ExitCode.USAGE
    assert "[engines.vlm] stub does not see images" in refused.message
    assert "\n" not in refused.message
    assert "--allow-blind" in refused.hint
    assert server.requests == []
    assert rows(workspace, "SELECT count(*) FROM generation_run") == [(0,)]
    assert not (tmp_path / "requests.jsonl").exists()


def test_the_verdicts_of_a_blind_judge_say_so(workspace: Workspace) -> None:
    done = negwb(workspace, "generate", "--allow-blind", "--limit", 1, "--json")
    assert done.exception is None, done.stderr
    assert json.loads(done.stdout)["blind"] == ["vlm"]
    assert "judges that do not see images: vlm" in done.stderr
    assert set(rows(workspace, "SELECT method FROM verdict")) == {("bare/blind",)}
    assert origin("bare/blind", None, None, None) == ("a bare answer", "does not see images")
    shown = negwb(workspace, "history", 1)
    assert shown.exception is None, shown.stderr
    assert "does not see images" in shown.stdout


def test_judge_and_dry_run_take_a_blind_judge_on_request(workspace: Workspace) -> None:
    assert negwb(workspace, "generate", "--dry-run", "--allow-blind").exception is None
    assert negwb(workspace, "generate", "--judge", "annotations").exception is None
    assert error(negwb(workspace, "generate", "judge")).exit_code == ExitCode.USAGE
    assert negwb(workspace, "generate", "judge", "--allow-blind").exception is None
    assert set(rows(workspace, "SELECT method FROM verdict WHERE judge = 'vlm'")) == {("bare/blind",)}


def test_a_run_with_nearly_no_clear_verdict_ends_with_exit_code_1(
    workspace: Workspace, server: AnsweringServer
) -> None:
    server.reply = lambda body: (200, completion("The image is grey."))
    assert negwb(workspace, "generate", "--allow-blind", "--limit", 3).exception is None  # too few to tell
    unclear = error(negwb(workspace, "generate", "--allow-blind"))
    assert unclear.exit_code == ExitCode.UNEXPECTED
    assert "neither yes nor no" in unclear.message
    assert rows(workspace, "SELECT state FROM generation_run ORDER BY id") == [("done",), ("done",)]
    with sqlite3.connect(workspace.database) as connection:
        connection.execute("DELETE FROM verdict")
    connection.close()
    judged = error(negwb(workspace, "generate", "judge", "--allow-blind"))
    assert (judged.exit_code, "neither yes nor no" in judged.message) == (ExitCode.UNEXPECTED, True)


def test_the_probe_says_what_its_findings_mean(workspace: Workspace, server: AnsweringServer) -> None:
    def odd(body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        if "seed" in body or "max_tokens" in body or any(turn["role"] == "system" for turn in body["messages"]):
            return refusal("not supported")
        if "logprobs" in body:
            return 200, completion("The", logprobs=token_logprobs({"The": 0.9, "Yes": 0.04}))
        return same_for_every_image(body)

    server.reply = odd
    shown = negwb(workspace, "generate", "probe", "vlm")
    assert shown.exception is None, shown.stderr
    for line in (
        "log-probabilities are not used: only 0.04 of the probability is on yes and no",
        "the model does not see images",
        "left out of requests: seed",
        "max_tokens is sent as max_completion_tokens",
        "system messages are sent as the start of the user's message",
    ):
        assert line in shown.stderr
    result = json.loads(negwb(workspace, "generate", "probe", "vlm", "--json").stdout)
    assert (result["blind"], result["method"]) == (True, "bare")
    assert result["requests"]["omit"] == ["seed"]
    assert result["requests"]["rename"] == {"max_tokens": "max_completion_tokens"}
    assert result["requests"]["system"] == "merge"
    assert all(feature["evidence"] for feature in result["features"].values())


def test_the_least_mass_of_the_settings_decides_about_log_probabilities(
    workspace: Workspace, server: AnsweringServer
) -> None:
    listed = token_logprobs({"Yes": 0.3, "The": 0.1})
    server.reply = lambda body: (
        (200, completion("Yes", logprobs=listed)) if "logprobs" in body else same_for_every_image(body)
    )
    assert json.loads(negwb(workspace, "generate", "probe", "vlm", "--json").stdout)["method"] == "bare"
    content = workspace.settings.read_text().replace('"llm"', '"llm"\nleast_label_mass = 0.2', 1)
    workspace.settings.write_text(content)
    assert json.loads(negwb(workspace, "generate", "probe", "vlm", "--json").stdout)["method"] == "logprobs"


def test_a_reasoning_model_comes_with_a_recipe(workspace: Workspace, server: AnsweringServer) -> None:
    def thinks(body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        thought = "" if "reasoning_effort" in body else "<think>Hm.</think>"
        return 200, completion(thought + "one, two, three, four, five")

    server.reply = thinks
    shown = negwb(workspace, "generate", "probe", "vlm")
    assert "reasoning model" in shown.stderr
    assert 'options = { reasoning_effort = "none" }' in shown.stderr


def test_a_blind_proposer_and_a_judge_that_was_not_probed_are_used(workspace: Workspace) -> None:
    assert negwb(workspace, "generate", "--proposer", "vlm", "--judge", "annotations", "--limit", 1).exception is None
    with sqlite3.connect(workspace.database) as connection:
        connection.execute("DELETE FROM endpoint_probe")
    connection.close()
    assert negwb(workspace, "generate").exception is None
    assert ("bare",) in rows(workspace, "SELECT method FROM verdict")


def test_every_server_of_an_engine_is_probed_and_differences_are_named(tmp_path: Path, server: AnsweringServer) -> None:
    def without_seed(body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        return refusal("unsupported: seed") if "seed" in body else same_for_every_image(body)

    created = create_workspace(tmp_path / "ws")
    with answering_server(without_seed) as other:
        with created.settings.open("a") as file:
            file.write(ENGINES.format(url=server.url) + f'urls = ["{other.url}"]\n')
        done = negwb(created, "generate", "probe", "vlm")
        assert done.exit_code == 0
        line = next(line for line in done.stderr.splitlines() if "differ" in line)
        assert f"{other.url} in" in line
        assert "seed" in line
        data = json.loads(negwb(created, "generate", "probe", "vlm", "--json").stdout)
    assert "seed" in data["other_servers"][other.url]
    connection = sqlite3.connect(created.database)
    assert {url for (url,) in connection.execute("SELECT url FROM endpoint_probe")} == {server.url, other.url}
    connection.close()
