"""tmux and SSH: seen, said in one line, and with a real tmux what it lets through."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.terminal import Terminal
from support.workspaces import Case, build

from workbench.console.terminal_env import TerminalEnv, advice, detect_terminal, reason
from workbench.images import terminal_graphics

TMUX = {"TMUX": "/tmp/none,1,0", "TERM": "tmux-256color"}
SSH = {"SSH_CONNECTION": "a 1 b 2", "TERM": "xterm-kitty"}
PASSTHROUGH = "set -g allow-passthrough on"


@pytest.mark.parametrize(
    ("environ", "told", "around"),
    [
        ({"TERM": "xterm-kitty"}, "", TerminalEnv("", False, False, "xterm-kitty")),
        ({"TERM": "xterm", "TERM_PROGRAM": "ghostty"}, "", TerminalEnv("", False, False, "xterm ghostty")),
        (TMUX, "0 xterm-kitty kitty(0.32)", TerminalEnv("tmux", False, False, "xterm-kitty kitty(0.32)")),
        (TMUX, "1 xterm-kitty ", TerminalEnv("tmux", True, False, "xterm-kitty")),
        ({**TMUX, "SSH_TTY": "x"}, "all xterm", TerminalEnv("tmux", True, True, "xterm")),
        (TMUX, "", TerminalEnv("tmux", False, False, "")),
        ({"TERM": "tmux-256color"}, "on x", TerminalEnv("tmux", False, False, "")),
        ({"STY": "1.pts", "TERM": "xterm"}, "", TerminalEnv("screen", False, False, "")),
        (SSH, "", TerminalEnv("", False, True, "xterm-kitty")),
        ({}, "", TerminalEnv()),
    ],
)
def test_what_the_environment_tells(environ: dict[str, str], told: str, around: TerminalEnv) -> None:
    assert detect_terminal(environ, lambda _: told) == around


@pytest.mark.parametrize(
    ("around", "chosen", "because", "advised"),
    [
        (TerminalEnv("tmux", False, False, "xterm-kitty"), "halfcell", PASSTHROUGH, True),
        (TerminalEnv("tmux", True, False, "xterm-kitty"), "kitty", "xterm-kitty through tmux", False),
        (TerminalEnv("tmux", True, False, "xterm"), "halfcell", "tmux in xterm, not one with Kitty", False),
        (TerminalEnv("screen"), "halfcell", "screen passes no graphics on", False),
        (TerminalEnv("", False, True, "xterm-kitty"), "halfcell", 'images = "kitty"', True),
        (TerminalEnv("", False, True, "xterm"), "halfcell", "over SSH", False),
        (TerminalEnv("", False, False, "xterm"), "halfcell", "(xterm) did not report anything better", False),
        (TerminalEnv("", False, False, "foot"), "sixel", "supports it", False),
    ],
)
def test_the_reason_and_whether_it_is_worth_a_word(
    around: TerminalEnv, chosen: str, because: str, advised: bool
) -> None:
    assert because in reason("auto", chosen, around)
    said = advice("auto", chosen, around)
    assert bool(said) is advised
    assert not advised or because in said
    assert advice("halfcell", "halfcell", around) == ""
    assert reason("sixel", "halfcell", around) == 'images = "sixel", which this terminal does not support'


@pytest.mark.parametrize(
    ("told", "chosen"),
    [("on xterm-kitty", "kitty"), ("off xterm-kitty", "halfcell"), ("on xterm-256color", "halfcell"), ("", "halfcell")],
)
def test_auto_in_tmux_asks_tmux_and_not_the_terminal(told: str, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_graphics, "ask_terminal", lambda _: pytest.fail("asked"))
    monkeypatch.setattr(terminal_graphics, "detect_terminal", lambda environ: detect_terminal(environ, lambda _: told))
    assert terminal_graphics.detect(TMUX) == chosen
    assert terminal_graphics.detect({**TMUX, "SSH_TTY": "x"}) == "halfcell"
    assert terminal_graphics.detect(SSH) == "halfcell"


INSIDE = """
import json, os, sys
from pathlib import Path
from PIL import Image
from workbench.images import terminal_graphics
from workbench.console.terminal_env import advice, detect_terminal
from workbench.tui.widgets.picture import encode
around = detect_terminal(os.environ)
chosen = terminal_graphics.choose_protocol("auto")
if chosen == "kitty":
    assert encode("kitty", Image.new("RGB", (20, 20), "red"), 4, 2)
values = [around.multiplexer, around.passthrough, around.terminal, chosen, advice("auto", chosen, around)]
Path(sys.argv[1] + ".part").write_text(json.dumps([*values, terminal_graphics.cell_pixels()]))
os.replace(sys.argv[1] + ".part", sys.argv[1])
"""


@pytest.mark.skipif(not (shutil.which("tmux") and shutil.which("tic")), reason="needs tmux and tic")
@pytest.mark.parametrize("passthrough", ["off", "on"])
def test_really_inside_tmux(tmp_path: Path, passthrough: str) -> None:
    entry = tmp_path / "entry"
    entry.write_text("xterm-kitty|made up,\n\tTc,\n\tuse=xterm-256color,\n")
    subprocess.run(["tic", "-x", "-o", tmp_path / "terminfo", entry], check=True)
    (tmp_path / "tmux.conf").write_text(f"set -g allow-passthrough {passthrough}\nset -g status off\n")
    (tmp_path / "inside.py").write_text(INSIDE)
    told = tmp_path / "told"
    command = f"{sys.executable} {tmp_path / 'inside.py'} {told}; sleep 60"
    socket = tmp_path / "s"
    away = {name: "" for name in ("TMUX", "STY", "SSH_CONNECTION", "SSH_TTY")}
    with Terminal(
        ["tmux", "-S", socket, "-f", tmp_path / "tmux.conf", "new-session", command],
        TERM="xterm-kitty",
        TERMINFO=str(tmp_path / "terminfo"),
        PYTHONPATH=os.getcwd(),
        **away,
    ) as outer:
        try:
            outer.wait_for(told.exists)
            found = json.loads(told.read_text())
            if found[3] == "kitty":
                outer.wait_for(lambda: b"\x1b_G" in outer.output)  # unwrapped, as Kitty wants it
        finally:
            subprocess.run(["tmux", "-S", str(socket), "kill-server"], check=False, capture_output=True)
            outer.end()
    on = passthrough == "on"
    assert found[:2] == ["tmux", on]
    assert found[2].startswith("xterm-kitty")
    assert found[3] == ("kitty" if on else "halfcell")
    assert (PASSTHROUGH in found[4]) is not on
    assert (b"\x1b_G" in outer.output) is on
    assert b"Ptmux" not in outer.output


@pytest.mark.parametrize(("term", "said"), [("xterm-kitty", True), ("xterm-256color", False)])
def test_curate_says_so_where_it_matters(tmp_path: Path, term: str, said: bool) -> None:
    made = build(tmp_path / "ws", [Case(), Case(text="no hat at all")])
    made.store.close()
    negwb = Path(sys.executable).with_name("negwb")
    command = [negwb, "-w", made.root, "curate", "-a", "ana", "--order", "oldest"]
    with Terminal(command, TERM=term, SSH_CONNECTION="a 1 b 2", TMUX="", STY="") as app:
        app.wait_for(b"NEGATED")
        if said:
            app.wait_for(b"images as half-cells: they need the fewest bytes over SSH")
        app.press_until("a", lambda: len(made.events()) >= 1)
        app.press_until("q", lambda: app.process.poll() is not None)
        assert app.end() == 0
    assert (b"half-cells" in app.output) is said
