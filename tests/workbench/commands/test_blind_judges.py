"""A judge that was proved not to see images judges none, unless the user insists; then its verdicts say so."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.answering_server import AnsweringServer, answering_server, completion, last_text
from typer.testing import CliRunner, Result

from workbench.annotation.wording import origin
from workbench.cli import app
from workbench.errors import ExitCode, NegwbError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings_writer import add_picture_folder

CAPTIONS = ("a man riding a horse", "a dog on a sofa")
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


def test_a_blind_proposer_and_a_judge_that_was_not_probed_are_used(workspace: Workspace) -> None:
    assert negwb(workspace, "generate", "--proposer", "vlm", "--judge", "annotations", "--limit", 1).exception is None
    with sqlite3.connect(workspace.database) as connection:
        connection.execute("DELETE FROM endpoint_probe")
    connection.close()
    assert negwb(workspace, "generate").exception is None
    assert ("bare",) in rows(workspace, "SELECT method FROM verdict")
