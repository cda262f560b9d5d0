"""The external viewer: its program, its arguments, and its output, which never reaches the screen."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.curating import lines, running, until
from support.workspaces import press, settled

from workbench.errors import UsageError
from workbench.images.external_viewer import NoViewer, launch, viewer_command
from workbench.workspace.settings.settings import read_settings

# fmt: off
HOSTILE = ("-rf.png", "$(touch owned).png", "a b;touch owned.png", "`touch owned`'\".png", "\nnew line\x1b[31m.png",
           "%s%f file:..png", "é☃.png")
# fmt: on
SSH = {"SSH_CONNECTION": "a 1 b 2"}


@pytest.fixture
def viewer(tmp_path: Path) -> Path:
    """A program that writes its arguments to the file `arguments` and prints to every stream."""
    script = tmp_path / "view er.py"
    script.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        "print('NOISE'); print('NOISE', file=sys.stderr)\n"
        "try: open('/dev/tty', 'w').write('NOISE')\nexcept OSError: pass\n"
        f"path = {str(tmp_path / 'arguments')!r}\n"
        "open(path + '.part', 'a').write(ascii([*sys.argv[1:], sys.stdin.read(), os.getsid(0) == os.getpid()]))\n"
        "os.replace(path + '.part', path)\n"
        "sys.exit(3 if 'fail' in sys.argv else 0)\n"
    )
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("setting", "environ", "platform", "command"),
    [
        ("", {"DISPLAY": ":0"}, "linux", ["xdg-open"]),
        ("", {"WAYLAND_DISPLAY": "w"}, "linux", ["xdg-open"]),
        ("", {**SSH, "DISPLAY": "localhost:10"}, "linux", ["xdg-open"]),
        ("", {}, "darwin", ["open"]),
        ("feh --title 'a b'", {}, "linux", ["feh", "--title", "a b"]),
        ("feh", SSH, "linux", ["feh"]),
    ],
)
def test_the_viewer_is_chosen_by_setting_and_platform(
    setting: str, environ: dict[str, str], platform: str, command: list[str]
) -> None:
    assert viewer_command(setting, environ, platform=platform, find=lambda name: name) == command


@pytest.mark.parametrize(
    ("setting", "environ", "platform", "message"),
    [
        ("", SSH, "linux", "no display over SSH"),
        ("", {"SSH_TTY": "/dev/pts/1"}, "darwin", "no display over SSH"),
        ("", {}, "linux", "there is no display"),
        ("", {"DISPLAY": ":0"}, "linux", "xdg-open is not installed"),
        ("feh -x", {}, "linux", "feh is not installed"),
    ],
)
def test_without_a_viewer_the_error_names_the_reason(
    setting: str, environ: dict[str, str], platform: str, message: str
) -> None:
    with pytest.raises(NoViewer, match=message):
        viewer_command(setting, environ, platform=platform, find=lambda _: None)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_name_is_one_argument(
    tmp_path: Path, viewer: Path, name: str, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(b"x")
    program, started = launch(f"'{viewer}' --fit", {}, Path(name))
    assert (program, started.wait(60)) == ("view er.py", 0)
    assert (tmp_path / "arguments").read_text() == ascii(["--fit", str(tmp_path / name), "", True])
    assert not Path("owned").exists()
    assert capfd.readouterr() == ("", "")


def test_a_program_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(NoViewer, match="the image is missing"):
        launch("true", {}, path)
    path.write_bytes(b"x")
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    with pytest.raises(NoViewer, match="does not start"):
        launch(str(broken), {}, path)


def test_the_viewer_setting_is_a_command_line(tmp_path: Path) -> None:
    path = tmp_path / "negwb.toml"
    path.write_text('[curate]\nviewer = "feh \'x"\n')
    with pytest.raises(UsageError, match="viewer") as wrong:
        read_settings(path)
    assert "as in: feh" in wrong.value.hint
    path.write_text('[curate]\nviewer = "feh -x"\n')
    assert read_settings(path).curate.viewer == "feh -x"


@pytest.mark.parametrize("way", [(), ("i",)], ids=["card", "zoom"])
async def test_one_key_opens_the_viewer_and_the_session_continues(
    make_workspace: Any, open_app: Any, viewer: Path, tmp_path: Path, way: tuple[str, ...]
) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace, app={"viewer": f"'{viewer}' fail"})
    async with running(app) as pilot:
        await settled(pilot)
        await pilot.press(*way, "o")
        await until(pilot, (tmp_path / "arguments").exists)
        assert (
            (tmp_path / "arguments")
            .read_text()
            .startswith(ascii(["fail", str(workspace.root / "pictures/001.png")])[:-1])
        )
        await until(pilot, lambda: "view er.py failed (3)" in lines(app))
        await pilot.press(*("escape" for _ in way))
        await press(pilot, "a")
        assert workspace.events() == [(1, "accept", None)]


async def test_without_a_viewer_a_notification_shows_the_reason(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSH_CONNECTION", "a 1 b 2")
    monkeypatch.setattr("workbench.images.external_viewer.sys.platform", "linux")
    workspace = make_workspace(1)
    app = open_app(workspace)
    async with app.run_test(size=(200, 36), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("o")
        await until(pilot, lambda: "no display over SSH" in lines(app))
        assert os.fspath(workspace.root / "pictures" / "001.png")[-30:] in lines(app).replace("\n", "")
