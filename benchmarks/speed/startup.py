"""Bench `startup`: from the start of a cold process to the help on stdout, and to the first card on the screen.

The screen is a pseudo-terminal that this process reads. A card counts as painted when a word has arrived that only the
texts of candidates contain.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import text

from curation_db.enums import Question
from curation_db.review.candidates import Intake, NewCandidate, NewVerdict, insert_candidates, insert_verdicts
from curation_db.storage.store import open_store
from workbench.workspace.create import create_workspace
from workbench.workspace.settings.writer import add_picture_folder

MARK = b"quokka"
RUNS = 5
HEAVY = ("textual", "sqlmodel", "sqlalchemy", "alembic", "numpy", "PIL", "torch", "open_clip", "transformers", "httpx")
_NEGWB = Path(sys.executable).with_name("negwb")


def run(*, quick: bool = False) -> dict[str, Any]:
    """Run the bench and return its figures."""
    runs = 1 if quick else RUNS
    with tempfile.TemporaryDirectory() as folder:
        workspace = _workspace(Path(folder) / "ws")
        helps = [_time_help() for _ in range(runs)]
        cards = [_time_first_card(workspace) for _ in range(runs)]
    return {
        "help_s": round(statistics.median(helps), 3),
        "curate_s": round(statistics.median(cards), 3),
        "heavy_modules": _heavy_modules(),
        "runs": {"help_s": [round(t, 3) for t in helps], "curate_s": [round(t, 3) for t in cards]},
        "notes": "cold processes, warm file cache; curate at 120x36 with half-cell images, 640x480 JPEGs",
    }


def _workspace(folder: Path) -> Path:
    """Create a workspace with 50 candidates whose texts contain `MARK`."""
    workspace = create_workspace(folder)
    images = folder / "pictures"
    images.mkdir()
    Image.effect_mandelbrot((640, 480), (-3, -2.5, 2, 2.5), 100).convert("RGB").save(images / "a.jpg", quality=90)
    add_picture_folder(workspace.settings, "bench", "pictures")
    with open_store(workspace.database) as store, store.write() as connection:
        connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'bench')"))
        connection.execute(text("INSERT INTO image(id, source_id, key, file_name) VALUES (1, 1, 'a', 'a.jpg')"))
        drafts = [
            NewCandidate(
                source_id=1,
                key=f"bench/{n}",
                image_id=1,
                raw_text=f"a picture with no {MARK.decode()} in it, number {n}",
                concept=MARK.decode(),
                pipeline="P1",
                generator="bench",
            )
            for n in range(50)
        ]
        judged = [
            NewVerdict(
                candidate_id=number,
                judge="bench",
                model="none",
                prompt_version="1",
                question=Question.PRESENT,
                p=0.2,
                simulated=True,
            )
            for number in insert_candidates(connection, drafts, Intake(audit_rate=0))
        ]
        insert_verdicts(connection, judged)
    return folder


def _time_help() -> float:
    start = time.perf_counter()
    subprocess.run([_NEGWB, "--help"], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - start


def _time_first_card(workspace: Path) -> float:
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    command = [str(_NEGWB), "-w", str(workspace), "curate", "--annotator", "bench", "--images", "halfcell"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment, start_new_session=True)
    os.close(end)
    try:
        _read_until(terminal, MARK, seconds=30)
        return time.perf_counter() - start
    finally:
        os.write(terminal, b"q")
        _drain(terminal, process)
        os.close(terminal)


def _read_until(terminal: int, mark: bytes, *, seconds: float) -> None:
    seen = b""
    deadline = time.perf_counter() + seconds
    while mark not in seen:
        if not select.select([terminal], [], [], max(0.0, deadline - time.perf_counter()))[0]:
            raise TimeoutError(f"no card within {seconds} s; the screen ended with {seen[-400:]!r}")
        seen = seen[-len(mark) :] + os.read(terminal, 65536)


def _drain(terminal: int, process: subprocess.Popen[bytes]) -> None:
    """Read until the app has ended, so that it never blocks on its output."""
    deadline = time.perf_counter() + 10
    while process.poll() is None and time.perf_counter() < deadline:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:
                break
    process.kill()
    process.wait()


def _heavy_modules() -> list[str]:
    """Return the heavy modules that `negwb --help` imports; there should be none."""
    code = (
        "import sys, json, contextlib, io\n"
        "from workbench.cli import app\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    app(['--help'])\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return list(json.loads(done.stdout.splitlines()[-1]))
