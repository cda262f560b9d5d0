"""Tests of downloads from a local server with faults."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.benches import draw_picture, negrefcocog_folder, write_negrefcocog

from benchmarks.data.download import RequestLimits
from benchmarks.data.download_session import DownloadSession
from benchmarks.data.fetch import GONE_FILE, FetchResult, Progress, fetch_benchmark, image_file_check, smallest_sizes
from benchmarks.data.sources import AnnotationFile, BenchmarkSource, ImageSource, source_of
from benchmarks.errors import BenchError
from benchmarks.registry import entries
from benchmarks.task import Box, ImageRegion, Task
from benchmarks.tasks import coco_flickr, sugarcrepe, valse
from benchmarks.tasks.captions import caption_item, captions_task

HASTY = RequestLimits(tries=5, backoff_s=0.01, timeout_s=0.5, pause_s=0)
Trick = Callable[["Handler", bytes], bool]
"""Replaces the server's answer if it returns True."""


class Server(ThreadingHTTPServer):
    """Serves a folder; `tricks` replaces the answer to the nth request for a name."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.tricks = folder, {}
        self.asked: Counter[str] = Counter()
        self.ranges: list[tuple[str, str]] = []
        self.agents: set[str] = set()
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Ignore errors of clients that close the connection."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Handles one request, with ranges."""

    server: Server

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        with self.server.lock:
            self.server.asked[name] += 1
            self.server.agents.add(self.headers.get("User-Agent", ""))
            trick = self.server.tricks.get((name, self.server.asked[name]), self.server.tricks.get((name, 0)))
        path = self.server.folder / name
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        if trick is None or not trick(self, content):
            self.whole_or_rest(content)

    def whole_or_rest(self, content: bytes) -> None:
        asked = self.headers.get("Range")
        if asked is None:
            self.answer(200, content)
            return
        self.server.ranges.append((self.path, asked))
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        else:
            rest = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[start:], {"Content-Range": rest})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def failing(status: int, **headers: str) -> Trick:
    def trick(handler: Handler, content: bytes) -> bool:
        handler.answer(status, b"no", {name.replace("_", "-"): value for name, value in headers.items()})
        return True

    return trick


def truncated(handler: Handler, content: bytes) -> bool:
    handler.answer(200, content[: len(content) // 2], {"Content-Length": str(len(content))})
    return True


def stalled(handler: Handler, content: bytes) -> bool:
    truncated(handler, content)
    handler.wfile.flush()
    time.sleep(1.2)
    return True


def ignoring_range(handler: Handler, content: bytes) -> bool:
    handler.answer(200, content)
    return True


def wrong_part(handler: Handler, content: bytes) -> bool:
    handler.answer(206, content[3:], {"Content-Range": f"bytes 3-{len(content) - 1}/{len(content)}"})
    return True


def error_page(handler: Handler, content: bytes) -> bool:
    handler.answer(200, b"<html>come back later</html>")
    return True


def cut_without_saying(handler: Handler, content: bytes) -> bool:
    handler.answer(200, content[:-200])
    return True


def not_an_image(handler: Handler, content: bytes) -> bool:
    handler.answer(200, b"\xff\xd8\xff" + b"x" * 5000, {"Content-Type": "image/jpeg"})
    return True


def redirected(handler: Handler, content: bytes) -> bool:
    handler.answer(302, b"", {"Location": handler.path})
    return True


def drip(handler: Handler, content: bytes) -> None:
    """Send single bytes until the client closes the connection."""
    with contextlib.suppress(OSError):
        for byte in content:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.05)


def dripping(handler: Handler, content: bytes) -> bool:
    handler.answer(200, b"", {"Content-Length": str(len(content))})
    drip(handler, content)
    return True


def dripping_headers(handler: Handler, content: bytes) -> bool:
    drip(handler, b"HTTP/1.1 200 OK\r\n" + b"X-Long: yes\r\n" * 1000)
    handler.close_connection = True
    return True


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 24 items and their images."""
    folder = tmp_path_factory.mktemp("original")
    negrefcocog_folder(folder, write_negrefcocog(tmp_path_factory.mktemp("source") / "all.json"))
    for picture in (folder / "train2014").iterdir():
        picture.rename(folder / picture.name)
    return folder


@pytest.fixture
def server(original: Path) -> Iterator[Server]:
    server = Server(original)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def names_of(server: Server) -> list[str]:
    return sorted(path.name for path in server.folder.glob("*.jpg"))


def source(
    server: Server, *, sha256: str | None = "published", bases: tuple[str, ...] | None = None
) -> BenchmarkSource:
    """Return the server as source; `sha256` "published" is that of its file."""
    if sha256 == "published":
        sha256 = hashlib.sha256((server.folder / "NegRefCOCOg.json").read_bytes()).hexdigest()
    file = AnnotationFile(name="NegRefCOCOg.json", urls=(f"{server.url}/NegRefCOCOg.json",), sha256=sha256)
    images = ImageSource(bases=(f"{server.url}/train2014/",) if bases is None else bases)
    return BenchmarkSource(files=(file,), licence="MIT", images=(images,))


def fetch(
    server: Server,
    folder: Path,
    limits: RequestLimits = HASTY,
    *,
    retry_failed: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> FetchResult:
    return fetch_benchmark(
        "negrefcocog",
        folder,
        source(server, **changes),
        limits=limits,
        retry_failed=retry_failed,
        progress=progress,
    )


def is_whole(server: Server, folder: Path) -> bool:
    return sorted(path.name for path in (folder / "train2014").iterdir()) == names_of(server) and all(
        (folder / "train2014" / name).read_bytes() == (server.folder / name).read_bytes() for name in names_of(server)
    )


def test_each_file_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    first = fetch(server, tmp_path, progress=lambda *step: steps.append(step))
    count = len(names_of(server))
    assert (first.pictures, first.present, first.fetched, first.complete) == (count, 0, count, True)
    assert is_whole(server, tmp_path)
    assert [step for step in steps if step[0] == "images"] == [("images", done, count) for done in range(count + 1)]
    assert [step[1] for step in steps if step[0] == "checking"] == list(range(1, count + 1))
    assert all("negwb" in agent for agent in server.agents)
    asked = server.asked.total()
    second = fetch(server, tmp_path)
    assert (second.present, second.fetched, second.received_bytes) == (count, 0, 0)
    assert server.asked.total() == asked


@pytest.mark.parametrize(
    "trick",
    [failing(500), failing(503), failing(429), truncated, stalled, error_page, cut_without_saying],
    ids=["500", "503", "429", "truncated", "stalled", "error page", "cut"],
)
def test_a_failed_try_is_repeated(server: Server, tmp_path: Path, trick: Trick) -> None:
    for name in [*names_of(server)[:3], "NegRefCOCOg.json"]:
        server.tricks[name, 1] = trick
    assert fetch(server, tmp_path).complete
    assert is_whole(server, tmp_path)
    assert server.asked[names_of(server)[0]] == 2


def test_an_interrupted_download_is_continued(server: Server, tmp_path: Path) -> None:
    name = names_of(server)[0]
    server.tricks[name, 1] = truncated
    fetch(server, tmp_path)
    half = (server.folder / name).stat().st_size // 2
    assert server.ranges == [(f"/train2014/{name}", f"bytes={half}-")]
    assert is_whole(server, tmp_path)


def test_a_part_from_an_earlier_call_is_continued(server: Server, tmp_path: Path) -> None:
    whole, over, foreign = names_of(server)[:3]
    pictures = tmp_path / "train2014"
    pictures.mkdir()
    content = {name: (server.folder / name).read_bytes() for name in (whole, over, foreign)}
    (pictures / f"{whole}.part").write_bytes(content[whole])  # killed just before it got its name
    (pictures / f"{over}.part").write_bytes(content[over] + b"more")
    (pictures / f"{foreign}.part").write_bytes(b"x" * 100)
    assert fetch(server, tmp_path).complete
    assert is_whole(server, tmp_path)


@pytest.mark.parametrize("trick", [ignoring_range, wrong_part], ids=["ignored", "wrong part"])
def test_wrong_answers_to_range_requests(server: Server, tmp_path: Path, trick: Trick) -> None:
    name = names_of(server)[0]
    server.tricks[name, 1] = truncated
    server.tricks[name, 2] = trick
    assert fetch(server, tmp_path).complete
    assert is_whole(server, tmp_path)


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_obeyed(server: Server, tmp_path: Path, as_date: bool) -> None:
    name = names_of(server)[0]
    value = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "1"
    server.tricks[name, 1] = failing(429, Retry_After=value)
    started = time.monotonic()
    assert fetch(server, tmp_path).complete
    assert time.monotonic() - started > 0.9


@pytest.mark.parametrize("pictures", [True, False])
def test_a_server_that_asks_for_a_long_wait_is_given_up(server: Server, tmp_path: Path, pictures: bool) -> None:
    for name in names_of(server) if pictures else ["NegRefCOCOg.json"]:
        server.tricks[name, 0] = failing(503, Retry_After="9999")
    if pictures:
        result = fetch(server, tmp_path)
        assert "asks to wait 9,999 s (HTTP 503)" in result.unreachable
        assert len(result.failed) == len(names_of(server))
        assert server.asked.total() <= 1 + HASTY.connections
    else:
        with pytest.raises(BenchError, match="asks to wait 9,999 s"):
            fetch(server, tmp_path)
        assert server.asked.total() == 1
    server.tricks.clear()
    assert fetch(server, tmp_path).complete


WRONG = [error_page, not_an_image, redirected, truncated, failing(403), failing(503)]
WRONG_IDS = ["error page", "no picture", "redirected", "truncated", "403", "503"]


@pytest.mark.parametrize("trick", WRONG, ids=WRONG_IDS)
def test_a_server_that_sends_wrong_files_is_given_up(server: Server, tmp_path: Path, trick: Trick) -> None:
    """The server is given up after a few files; the next call completes the download."""
    names = names_of(server)
    for name in names[2:]:
        server.tricks[name, 0] = trick
    result = fetch(server, tmp_path, replace(HASTY, wrong_files=3, connections=1, tries=2))
    assert (result.fetched, len(result.failed)) == (2, len(names) - 2)
    assert "sent 3 wrong answers in a row (" in result.unreachable
    assert str(tmp_path) not in result.unreachable
    assert "\n" not in result.unreachable
    assert server.asked.total() <= 1 + 2 + 3 * 2 * 6  # a redirect is followed five times
    server.tricks.clear()
    assert fetch(server, tmp_path).complete
    assert is_whole(server, tmp_path)


def test_only_consecutive_wrong_files_count(server: Server, tmp_path: Path) -> None:
    names = names_of(server)
    for name in names[::2]:
        server.tricks[name, 0] = error_page
    result = fetch(server, tmp_path, replace(HASTY, wrong_files=2, connections=1, tries=2))
    assert (result.fetched, result.unreachable) == (len(names[1::2]), "")


def test_missing_files_do_not_count_as_wrong_files(server: Server, tmp_path: Path) -> None:
    names = names_of(server)
    for name in names[:-1]:
        server.tricks[name, 0] = failing(404)
    result = fetch(server, tmp_path, replace(HASTY, wrong_files=2))
    assert (result.fetched, result.unreachable, len(result.failed)) == (1, "", len(names) - 1)


IMPATIENT = replace(HASTY, patience_s=2, timeout_s=30)
"""Limits under which each byte arrives in time but the file does not."""


@pytest.mark.long
@pytest.mark.parametrize(
    "trick", [dripping, pytest.param(dripping_headers, marks=pytest.mark.long)], ids=["body", "headers"]
)
def test_a_server_that_sends_single_bytes_ends_the_session_at_the_deadline(
    server: Server, tmp_path: Path, trick: Trick
) -> None:
    names = names_of(server)
    server.tricks["NegRefCOCOg.json", 1] = trick
    with pytest.raises(BenchError, match=r"NegRefCOCOg\.json could not be fetched: no file was received for 2 s"):
        fetch(server, tmp_path, IMPATIENT)
    for name in names[3:]:
        server.tricks[name, 0] = trick
    result = fetch(server, tmp_path, IMPATIENT)
    assert "no file was received for 2 s" in result.unreachable
    assert (result.fetched, len(result.failed)) == (3, len(names) - 3)
    parts = [path for path in (tmp_path / "train2014").glob("*.part") if path.stat().st_size]
    assert len(parts) == (HASTY.connections if trick is dripping else 0)
    server.tricks.clear()
    assert fetch(server, tmp_path).complete
    assert is_whole(server, tmp_path)
    assert len([byte_range for path, byte_range in server.ranges if path.endswith(".jpg")]) == len(parts), (
        "parts are continued"
    )


def test_a_slow_download_is_tried_again(server: Server, tmp_path: Path) -> None:
    name = names_of(server)[0]
    server.tricks[name, 1] = dripping
    result = fetch(server, tmp_path, replace(HASTY, timeout_s=30, slow_after_s=0.5, slowest=100))
    assert result.complete
    assert server.asked[name] == 2
    assert server.ranges, "partial data of the slow download are continued"
    server.tricks[name, 0] = dripping
    (tmp_path / "train2014" / name).unlink()
    result = fetch(server, tmp_path, replace(HASTY, timeout_s=30, slow_after_s=0.2, slowest=100, tries=2))
    assert "bytes were received in" in result.failed[name]


@pytest.mark.long
def test_each_file_restarts_the_deadline(server: Server, tmp_path: Path) -> None:
    def slow(handler: Handler, content: bytes) -> bool:
        time.sleep(0.4)
        return False

    for name in names_of(server):
        server.tricks[name, 0] = slow
    assert fetch(server, tmp_path, replace(HASTY, timeout_s=30, patience_s=3, connections=2)).complete


def test_the_defaults_end_within_a_minute() -> None:
    """Worst case: the annotations arrive just before the deadline, then nothing, and a connection was just made."""
    limits = RequestLimits()
    assert 2 * limits.patience_s + limits.connect_s < 60
    assert limits.longest_wait_s < limits.patience_s


def test_failed_images_are_named_and_the_others_downloaded(server: Server, tmp_path: Path) -> None:
    gone, dead = names_of(server)[:2]
    server.tricks[gone, 0] = failing(404)
    server.tricks[dead, 0] = failing(500)
    result = fetch(server, tmp_path)
    assert set(result.failed) == {gone, dead}
    assert "404" in result.failed[gone]
    assert server.asked[gone] == 1  # gone is gone
    assert server.asked[dead] == HASTY.tries
    assert result.fetched == len(names_of(server)) - 2
    server.tricks.clear()
    again = fetch(server, tmp_path)
    assert (again.fetched, set(again.failed), again.gone) == (1, {gone}, {gone})
    assert server.asked[gone] == 1  # it is not requested again unless asked for
    again = fetch(server, tmp_path, retry_failed=True)
    assert (again.present, again.fetched, again.complete) == (len(names_of(server)) - 1, 1, True)
    assert not (tmp_path / GONE_FILE).exists()


def test_an_image_that_was_gone_is_requested_from_another_server(server: Server, tmp_path: Path) -> None:
    name = names_of(server)[0]
    server.tricks[name, 0] = failing(404)
    assert fetch(server, tmp_path).gone == {name}
    server.tricks.clear()
    assert fetch(server, tmp_path, bases=(f"{server.url}/elsewhere/",)).complete


def test_a_damaged_list_of_what_is_gone_is_ignored(server: Server, tmp_path: Path) -> None:
    (tmp_path / GONE_FILE).write_text('{"a.jpg": 3}')
    assert fetch(server, tmp_path).complete


def test_a_repeated_try_checks_no_existing_image(server: Server, tmp_path: Path) -> None:
    name = names_of(server)[0]
    fetch(server, tmp_path)
    (tmp_path / "train2014" / name).write_bytes(b"damaged")
    assert fetch(server, tmp_path, retry_failed=True).present == len(names_of(server))
    assert fetch(server, tmp_path).fetched == 1


def test_the_next_source_is_used(server: Server, tmp_path: Path) -> None:
    urls = (f"{server.url}/nowhere", f"{server.url}/train2014")
    elsewhere = Server(tmp_path)
    elsewhere.server_close()  # its port refuses connections from here on
    result = fetch(server, tmp_path / "data", replace(HASTY, tries=2), bases=(f"{elsewhere.url}/", *urls))
    assert result.complete


def closed_port(folder: Path) -> str:
    """Return an address that refuses connections."""
    gone = Server(folder)
    gone.server_close()
    return gone.url


def test_without_a_network_the_download_ends_after_a_few_tries(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(DownloadSession, "wait", lambda _, seconds: waits.append(seconds))
    (tmp_path / "NegRefCOCOg.json").write_bytes((server.folder / "NegRefCOCOg.json").read_bytes())
    names = names_of(server)
    (tmp_path / "train2014").mkdir()
    existing = tmp_path / "train2014" / names[0]
    existing.write_bytes((server.folder / names[0]).read_bytes())
    limits = RequestLimits(tries=6, backoff_s=0.2, pause_s=5)
    result = fetch(server, tmp_path, limits, bases=(closed_port(tmp_path),))
    assert len(waits) <= (limits.unreachable_after - 1) * limits.connections, "other images are not tried"
    assert 5 not in waits
    assert "does not answer" in result.unreachable or "refused" in result.unreachable
    assert (result.complete, result.present, len(result.failed)) == (False, 1, len(names) - 1)
    assert existing.is_file()
    again = fetch(server, tmp_path)
    assert (again.complete, again.present, again.unreachable) == (True, 1, "")


def test_a_server_that_answers_sometimes_is_not_given_up(server: Server, tmp_path: Path) -> None:
    def hangs_up(handler: Handler, content: bytes) -> bool:
        handler.connection.close()
        return True

    for name in names_of(server)[::2]:
        server.tricks[name, 1] = server.tricks[name, 2] = hangs_up
    result = fetch(server, tmp_path)
    assert result.complete, result.failed


def test_wrong_annotations_are_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="sha256") as raised:
        fetch(server, tmp_path, sha256="0" * 64)
    assert raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_image_too_small_for_its_boxes_is_refused(server: Server, tmp_path: Path) -> None:
    name = names_of(server)[0]
    with pytest.raises(ValueError, match="its boxes need 5000x10"):
        image_file_check((5000, 10))(server.folder / name)


def test_a_file_that_is_too_large_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "NegRefCOCOg.json").write_bytes((server.folder / "NegRefCOCOg.json").read_bytes())
    result = fetch(server, tmp_path, replace(HASTY, most_bytes=600))
    assert len(result.failed) == len(names_of(server))
    assert "more than 600 bytes" in next(iter(result.failed.values()))
    assert list((tmp_path / "train2014").iterdir()) == []


def test_names_that_lead_out_of_the_folder_are_refused(server: Server, tmp_path: Path) -> None:
    rows = json.loads((server.folder / "NegRefCOCOg.json").read_bytes())
    rows[0]["image"] = "../../.bashrc"
    (tmp_path / "NegRefCOCOg.json").write_text(json.dumps(rows))
    with pytest.raises(BenchError, match="leads out"):
        fetch(server, tmp_path, sha256=None)


def test_an_interrupted_fetch_ends_at_once_and_is_continued(server: Server, tmp_path: Path) -> None:
    def slow(handler: Handler, content: bytes) -> bool:
        time.sleep(0.3)
        return False

    for name in names_of(server):
        server.tricks[name, 0] = slow
    code = (
        "import sys\nfrom pathlib import Path\nfrom benchmarks.data.download import RequestLimits\n"
        "from benchmarks.data.fetch import fetch_benchmark\n"
        "from benchmarks.data.sources import AnnotationFile, BenchmarkSource, ImageSource\n"
        f"s = {source(server)!r}\n"
        "def report_step(stage, done, total):\n"
        "    if stage == 'images': sys.stdout.write(str(done) + chr(10)); sys.stdout.flush()\n"
        "try:\n    fetch_benchmark('negrefcocog', Path(sys.argv[1]), s, limits=RequestLimits(connections=2),"
        " progress=report_step)\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if line.strip() == "3":
                break
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.read().split()[-1] == "interrupted"
        assert process.wait(60) == 0
    there = len(list((tmp_path / "train2014").glob("*.jpg")))
    assert 3 <= there < len(names_of(server))
    server.tricks.clear()
    result = fetch(server, tmp_path)
    assert result.present == there
    assert is_whole(server, tmp_path)


# -- other benchmarks, from files of the published format


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Server]:
    """Return a server for the files of an empty folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def redirect(published: BenchmarkSource, server: Server) -> BenchmarkSource:
    """Return the published source with the server in place of each host, and without hashes."""

    def local(url: str) -> str:
        return f"{server.url}/{url.split('/', 3)[3]}"

    files = tuple(replace(file, urls=tuple(map(local, file.urls)), sha256=None) for file in published.files)
    images = tuple(replace(each, bases=tuple(map(local, each.bases))) for each in published.images)
    return replace(published, files=files, images=images)


def published_source(name: str) -> BenchmarkSource:
    source = source_of(name, entries()[name].folder)
    assert source is not None
    return source


def test_sugarcrepe_gets_the_needed_images_of_coco(
    other: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sugarcrepe, "ITEMS", {"add_att": 3})
    rows = {
        str(n): {"filename": f"{n % 2:012d}.jpg", "caption": f"a cat {n}", "negative_caption": "a red cat"}
        for n in range(3)
    }
    (other.folder / "add_att.json").write_text(json.dumps(rows))
    for number in range(2):
        draw_picture(other.folder / f"{number:012d}.jpg", (60, 40), number)
    published = published_source("sugarcrepe-add-att")
    assert all(file.sha256 for file in published.files)
    result = fetch_benchmark("sugarcrepe-add-att", tmp_path / "data", redirect(published, other), limits=HASTY)
    assert (result.complete, result.fetched) == (True, 2)
    assert sorted(path.name for path in (tmp_path / "data" / "val2017").iterdir()) == [
        "000000000000.jpg",
        "000000000001.jpg",
    ]


def test_images_of_valse_come_from_several_sources_and_some_by_hand(
    other: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["COCO_val2014_000000000001.jpg", "000000000002.jpg", "v7w_3.jpg", "v7w_4.jpg", "exercising_255.jpg"]
    monkeypatch.setattr(valse, "ITEMS", {"plurals": 5})
    rows = {name: {"image_file": name, "caption": "a", "foil": "b", "mturk": {"caption": 3}} for name in names}
    (other.folder / "plurals.json").write_text(json.dumps(rows))
    for name in names[:2]:
        draw_picture(other.folder / name, (60, 40), 1)
    folder = tmp_path / "data"
    result = fetch_benchmark("valse-plurals", folder, redirect(published_source("valse-plurals"), other), limits=HASTY)
    assert (result.complete, result.pictures, result.fetched, dict(result.failed)) == (False, 5, 2, {})
    assert [(step.what, step.where) for step in result.by_hand] == [
        ("2 images (v7w_3.jpg, ...)", folder / "images"),
        ("1 images (exercising_255.jpg)", folder / "images"),
    ]
    assert "visual7w_images.zip" in result.by_hand[0].source
    for name in names[2:]:
        draw_picture(folder / "images" / name, (60, 40), 1)
    assert fetch_benchmark("valse-plurals", folder, redirect(published_source("valse-plurals"), other)).complete


def test_coco_unpacks_the_karpathy_file_and_gets_the_test_images(
    other: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco_flickr, "FILES", {"coco": coco_flickr.KarpathyFile("dataset_coco.json", 2)})
    rows = [
        {
            "filepath": "val2014",
            "filename": f"{n}.jpg",
            "split": "test" if n < 2 else "train",
            "sentences": [{"raw": f"caption {n}"}],
        }
        for n in range(3)
    ]
    with zipfile.ZipFile(other.folder / "caption_datasets.zip", "w") as archive:
        archive.writestr("__MACOSX/x", "")
        archive.writestr("caption_datasets/dataset_coco.json", json.dumps({"images": rows}))
    for number in range(2):
        draw_picture(other.folder / f"{number}.jpg", (60, 40), number)
    folder = tmp_path / "data"
    result = fetch_benchmark("coco-t2i", folder, redirect(published_source("coco-t2i"), other), limits=HASTY)
    assert (result.complete, result.fetched) == (True, 2)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == ["dataset_coco.json", "val2014/0.jpg", "val2014/1.jpg"]
    again = fetch_benchmark("coco-t2i", folder, redirect(published_source("coco-t2i"), other), limits=HASTY)
    assert (again.received_bytes, other.asked["caption_datasets.zip"]) == (0, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [({"other.json": "{}"}, "has no dataset_coco.json"), ({"dataset_coco.json": "x" * 500}, "more than 400 bytes")],
)
def test_a_wrong_archive_is_refused(other: Server, tmp_path: Path, content: dict[str, str], message: str) -> None:
    with zipfile.ZipFile(other.folder / "caption_datasets.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    source = redirect(published_source("coco-t2i"), other)
    source = replace(source, files=tuple(replace(file, most_bytes=400) for file in source.files))
    with pytest.raises(BenchError, match=message):
        fetch_benchmark("coco-t2i", tmp_path / "data", source, limits=HASTY)
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("name", ["negbench-coco-mcq", "ccneg", "aro-relation"])
def test_a_file_that_cannot_be_downloaded_is_named_with_its_source(name: str, tmp_path: Path) -> None:
    result = fetch_benchmark(name, tmp_path, published_source(name), limits=HASTY)
    (step,) = result.by_hand
    assert not result.complete
    assert (step.what, step.where) == (published_source(name).files[0].name, tmp_path)
    assert step.source


def test_every_benchmark_names_where_its_files_come_from() -> None:
    """All files and images have an address, or words for a person; addresses are pinned where they have a commit."""
    for name, entry in entries().items():
        source = source_of(name, entry.folder)
        if source is None:
            continue
        assert source.licence
        for each in (*source.files, *source.images):
            assert bool(getattr(each, "urls", getattr(each, "bases", ()))) != bool(each.by_hand), (name, each)
        assert all(file.sha256 for file in source.files for url in file.urls if "raw.githubusercontent" in url)


def test_a_mirror_has_what_cannot_be_downloaded_elsewhere() -> None:
    mirrored = published_source("negbench-voc-mcq").on_mirror("http://localhost/copy/")
    assert mirrored.files[0].urls == ("http://localhost/copy/VOC2007_mcq_llama3.1_rephrased.csv",)
    assert mirrored.images[0].bases == ("http://localhost/copy/voc2007/",)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_images_of_any_format_are_valid(form: str, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (9, 9, 9)).save(tmp_path / "a.jpg", format=form)
    image_file_check((30, 20))(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a"):
        image_file_check((30, 20))(tmp_path / "a.jpg")


def test_all_boxes_of_an_item_must_fit_into_its_image(tmp_path: Path) -> None:
    item = caption_item(id="1", image="a.jpg", captions=["x", "y"], target=0, box=Box(10, 5, 50, 20))
    twin = replace(item, id="2", image="b.jpg", box=None, twin=ImageRegion("c.jpg", Box(0, 0, 7, 9)))
    task: Task = captions_task("t", "1", "0", (item, twin), tmp_path)
    assert smallest_sizes(task) == {"a.jpg": (60, 25), "b.jpg": (1, 1), "c.jpg": (7, 9)}
