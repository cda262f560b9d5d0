"""An unexpected error gives one line on stderr and a log file, without the values of variables."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.record import Record
from support.terminal import Terminal

from curation_db.storage.store import open_store
from workbench.error_log import unexpected_line, write_error_log
from workbench.workspace.create import create_workspace

SECRET = "value-of-a-variable"
BROKEN = {
    "paint": "import workbench.tui.screens.curate as m\nm.CurateScreen._paint = broken",
    "thread": "import curation_db.queue.claims as m\nm.Queue.claim = broken",
    "mount": "import workbench.tui.widgets.lines.key_hints as m\n"
    "m.KeyHints.show = broken\nm.KeyHints.on_mount = broken",
}


def program(patch: str) -> str:
    return (
        "import sys\n"
        f"def broken(*a, **k):\n    secret = {SECRET!r}\n    raise KeyError('a bug')\n"
        f"{patch}\n"
        "from workbench.cli import main\nsys.exit(main())\n"
    )


@pytest.mark.parametrize(
    "where", ["thread", *(pytest.param(where, marks=pytest.mark.long) for where in ("paint", "mount"))]
)
def test_an_error_in_the_app_is_logged(tmp_path: Path, where: str) -> None:
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        Record(store).add(5)
    command = [sys.executable, "-c", program(BROKEN[where]), "-w", workspace.root, "curate", "-a", "ana"]
    terminal = Terminal(command)
    try:
        assert terminal.process.wait(60) == 1
        terminal._reader.join(10)
    finally:
        terminal.process.kill()
    (log,) = (workspace.root / "cache" / "errors").iterdir()
    output = terminal.output.decode(errors="replace")
    assert f"negwb: unexpected error, KeyError: 'a bug' (its trace is in {log})" in re.sub(r"[\r\n]+", "", output)
    assert "Traceback" not in output
    assert SECRET not in output
    content = log.read_text()
    assert "Traceback" in content
    assert "in broken" in content
    assert SECRET not in content.replace(program(BROKEN[where]), "").replace(f"secret = {SECRET!r}", "")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_without_a_workspace_the_log_is_in_the_state_folder_of_the_user(tmp_path: Path) -> None:
    code = program(
        "import workbench.commands.workspace.init as m\n"
        "import workbench.workspace.create as w\nw.create_workspace = broken"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "init", str(tmp_path / "new")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (1, "")
    (log,) = (tmp_path / "state" / "negwb" / "errors").iterdir()
    assert done.stderr.splitlines() == [
        f"negwb: unexpected error, KeyError: 'a bug' (its trace is in {log}); what was done before is kept"
    ]


def test_a_log_that_cannot_be_written_causes_no_second_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(blocked))
    monkeypatch.chdir(tmp_path)
    error = ValueError("two\nlines \x1b[31m")
    assert write_error_log(error) is None
    line = unexpected_line(error, None)
    assert "\n" not in line
    assert "\x1b" not in line
    assert "no log file could be written" in line
