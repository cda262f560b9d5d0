"""Tests of `negwb audit`: what it prints, writes and refuses, and its exit codes."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.commands import negwb as run_in
from support.commands import workspace_with_candidates
from typer.testing import CliRunner, Result

from workbench.cli import app
from workbench.errors import NothingToDo, UsageError

TEXTS = ["a dog with no leash", "a cat on a sofa", "nobody is on the beach", "a hat", "a tree without leaves"]


def negwb(*args: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, args)])


def report_of(*args: object) -> dict[str, Any]:
    result = negwb(*args, "--json")
    report: dict[str, Any] = json.loads(result.stdout)
    return report


@pytest.fixture
def captions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "captions.txt"
    path.write_text("\n".join(TEXTS))
    return path


def test_the_table_has_rates_words_samples_and_published_rates(captions: Path) -> None:
    result = negwb(captions)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    row = next(line for line in lines if line.startswith("negation") and "any cue" in line)
    assert row.split()[3:6] == ["3", "60.00", "23.07–88.24"]
    assert any(line.split()[:2] == ["LAION-400M", "0.70"] for line in lines)
    assert "arXiv 2501.10913" in result.stdout
    assert "a tree without leaves" in result.stdout
    assert r"no[\s-]?one" in result.stdout
    assert "sleeveless" not in result.stdout
    full = negwb(captions, "--words", "--samples", 0).stdout
    assert "unhelmeted" in full
    assert "careless" in full
    assert "a tree without leaves" not in full


def test_json_has_what_the_table_has(captions: Path) -> None:
    report = report_of(captions)
    assert (report["captions"], report["words"]) == (5, 21)
    assert report["rates"]["all"]["any cue"]["captions"] == 3
    assert report["rates"]["class"]["affix"]["caption_share"][0] == 0
    assert report["targets"] == [["leash", 1], ["leaves", 1], ["person", 1]]
    assert report["samples"]["no"] == [
        {"text": TEXTS[0], "where": "captions.txt, line 1", "image": None, "target": "leash"}
    ]
    assert {rate["corpus"] for rate in report["published"]} >= {"LAION-400M", "COCO val2017"}
    assert all(rate["source"] and rate["counted"] for rate in report["published"])


def test_hostile_texts_are_shown_as_text(captions: Path) -> None:
    captions.write_text("no \x1b[31m<script>alert(1)</script> [bold]dog[/bold] \u202e &amp;\n" + TEXTS[0])
    page = captions.with_name("a.html")
    result = negwb(captions, "--html", page)
    assert "\x1b" not in result.stdout
    assert "[bold]dog[/bold]" in result.stdout
    content = page.read_text()
    assert "<script>" not in content
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in content
    assert "\u202e" not in content
    assert "http" not in content.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "<svg" in content


def test_bad_rows_are_named_and_give_exit_code_1(captions: Path) -> None:
    captions.write_bytes(b"a dog\n\xff no\n" + b"x" * 30_000 + b"\n")
    (captions.parent / "b.csv").write_text("one,two\n1,2\n")
    result = negwb(captions, captions.parent / "b.csv", "--processes", 1)
    assert result.exit_code == 1
    assert "2 rows are no captions: 1 encoding, 1 text-too-long" in result.stderr
    assert "captions.txt, line 2: invalid utf-8" in result.stderr
    assert "b.csv: no column holds captions (name it: --column NAME; columns: one, two)" in result.stderr
    report = report_of(captions)
    assert [each["row"] for each in report["bad_rows"]["listed"]] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.txt"], "there is no file nothing.txt"),
        (["captions.txt", "--format", "xml"], "there is no format 'xml'"),
        (["captions.txt", "--candidates"], "--candidates is for the workspace"),
        (["diff", "captions.txt"], "diff needs two results"),
        (["diff", "captions.txt", "captions.txt"], "captions.txt is not JSON"),
        (["diff", "captions.txt", "nothing.json"], "there is no file nothing.json"),
        ([], "no workspace in"),
    ],
)
def test_usage_errors_are_one_line(captions: Path, arguments: list[str], message: str) -> None:
    error = negwb(*arguments).exception
    assert isinstance(error, UsageError)
    assert message in error.message
    assert error.hint or "no file" in message


def test_a_corpus_without_captions_is_nothing_to_do(captions: Path) -> None:
    captions.write_text("\n \n")
    assert negwb(captions).exit_code == 5
    assert not issubclass(UsageError, NothingToDo)


def test_diff_shows_the_difference_with_its_interval(captions: Path) -> None:
    other = captions.with_name("other.txt")
    other.write_text("a dog\n" * 200)
    for path in (captions, other):
        path.with_suffix(".json").write_text(negwb(path, "--json").stdout)
    result = negwb("diff", captions.with_suffix(".json"), other.with_suffix(".json"))
    assert result.exit_code == 0
    row = next(line for line in result.stdout.splitlines() if line.startswith("negation") and "any cue" in line)
    assert row.split()[3:6] == ["60.00", "0.00", "-60.00"]
    assert "*" in row
    found = json.loads(negwb("diff", captions.with_suffix(".json"), other.with_suffix(".json"), "--json").stdout)
    estimate, low, high = found["differences"]["all"]["any cue"]["captions"]
    assert estimate == -0.6
    assert -1 < low < -0.6 < high < 0
    old = json.loads(captions.with_suffix(".json").read_text()) | {"cues_version": -1}
    other.with_suffix(".json").write_text(json.dumps(old))
    error = negwb("diff", captions.with_suffix(".json"), other.with_suffix(".json")).exception
    assert isinstance(error, UsageError)
    assert "another version" in error.message


def test_the_workspace_is_a_corpus_and_its_parts_are_kept(tmp_path: Path) -> None:
    workspace = workspace_with_candidates(tmp_path, 7)
    report = json.loads(run_in(workspace, "audit", "--json").stdout)
    assert (report["texts"], report["captions"], report["rates"]["all"]["any cue"]["captions"]) == ("captions", 7, 0)
    again = run_in(workspace, "audit", "--candidates", "--json")
    report = json.loads(again.stdout)
    assert (report["captions"], report["rates"]["cue"]["without"]["captions"]) == (7, 7)
    assert "candidate" in report["samples"]["without"][0]["where"]
    assert "1 of 1 parts were audited before" in run_in(workspace, "audit").stderr
    assert len(list((workspace.root / "cache" / "audit").glob("*.json"))) == 2


class Files(BaseHTTPRequestHandler):
    """Serves files; the first request for one breaks off in the middle."""

    files: ClassVar[dict[str, bytes]] = {}
    requests: ClassVar[list[tuple[str, str]]] = []
    broken: ClassVar[set[str]] = set()

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.requests.append((self.command, self.path))
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{hash(content)}"')
        self.end_headers()
        if body and self.path in self.broken:
            self.broken.discard(self.path)
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif body:
            self.wfile.write(content[start:])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def served(files: dict[str, bytes]) -> Iterator[str]:
    Files.files, Files.requests, Files.broken = files, [], set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_remote_corpus_is_fetched_file_by_file(captions: Path) -> None:
    state = captions.with_name("state")
    files = {f"/d/0{at}.txt": f"{TEXTS[at]}\n{'a dog ' * 9}\n".encode() for at in range(3)}
    with served(files) as host:
        Files.broken.add("/d/01.txt")
        source = f"{host}/d/{{00..02}}.txt"
        report = report_of(source, "--state", state, "--processes", 1)
        assert report["captions"] == 6
        assert report["samples"]["nobody"][0]["where"] == "02.txt, line 1"
        assert [path for path in state.iterdir() if path.suffix != ".json"] == []
        Files.requests.clear()
        assert report_of(source, "--state", state, "--processes", 1)["resumed"] == 3
        assert {method for method, _ in Files.requests} == {"HEAD"}
        files["/d/02.txt"] = b"no dog\n"
        assert report_of(source, "--state", state, "--processes", 1)["captions"] == 5
        result = negwb(f"{host}/d/0{{2,7}}.txt", "--processes", 1)
        assert (result.exit_code, "07.txt: HTTP 404" in result.stderr) == (1, True)
        error = negwb(f"{host}/nothing.txt", "--processes", 1).exception
        assert isinstance(error, UsageError)
        assert error.message == "nothing.txt: HTTP 404"


def test_a_state_that_is_no_folder_is_refused_before_the_audit(tmp_path: Path, captions: Path) -> None:
    (file := tmp_path / "file").write_text("")
    for state in (file, file / "below"):
        error = negwb(captions, "--state", state).exception
        assert isinstance(error, UsageError)
        assert error.message == f"--state {state}: it is a file, or below one"
