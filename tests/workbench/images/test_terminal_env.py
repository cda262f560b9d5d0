"""Detection of tmux, screen and SSH, the advice about images, and graphics inside a real tmux."""

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
    ("environ", "answer", "around"),
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
def test_the_terminal_is_detected_from_the_environment(
    environ: dict[str, str], answer: str, around: TerminalEnv
) -> None:
    assert detect_terminal(environ, lambda _: answer) == around


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
def test_the_reason_and_the_advice_for_a_choice(around: TerminalEnv, chosen: str, because: str, advised: bool) -> None:
    assert because in reason("auto", chosen, around)
    line = advice("auto", chosen, around)
    assert bool(line) is advised
    assert not advised or because in line
    assert len(line) <= 58, "one line of a message at 60 columns"
    assert advice("halfcell", "halfcell", around) == ""
    assert reason("sixel", "halfcell", around) == 'images = "sixel", which this terminal does not support'


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [("on xterm-kitty", "kitty"), ("off xterm-kitty", "halfcell"), ("on xterm-256color", "halfcell"), ("", "halfcell")],
)
def test_auto_in_tmux_queries_tmux_and_not_the_terminal(
    answer: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal_graphics, "ask_terminal", lambda _: pytest.fail("the terminal was queried"))
    monkeypatch.setattr(
        terminal_graphics, "detect_terminal", lambda environ: detect_terminal(environ, lambda _: answer)
    )
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
    sys.stdout.write(encode("kitty", Image.new("RGB", (20, 20), "red"), 4, 2).kitty.sending())
    sys.stdout.flush()
values = [around.multiplexer, around.passthrough, around.terminal, chosen, advice("auto", chosen, around)]
Path(sys.argv[1] + ".part").write_text(json.dumps([*values, terminal_graphics.cell_pixels()]))
os.replace(sys.argv[1] + ".part", sys.argv[1])
"""


@pytest.mark.skipif(not (shutil.which("tmux") and shutil.which("tic")), reason="needs tmux and tic")
@pytest.mark.parametrize("passthrough", ["off", "on"])
def test_detection_inside_a_real_tmux(tmp_path: Path, passthrough: str) -> None:
    entry = tmp_path / "entry"
    entry.write_text("xterm-kitty|test entry,\n\tTc,\n\tuse=xterm-256color,\n")
    subprocess.run(["tic", "-x", "-o", tmp_path / "terminfo", entry], check=True)
    (tmp_path / "tmux.conf").write_text(f"set -g allow-passthrough {passthrough}\nset -g status off\n")
    (tmp_path / "inside.py").write_text(INSIDE)
    output = tmp_path / "output"
    command = f"{sys.executable} {tmp_path / 'inside.py'} {output}; sleep 60"
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
            outer.wait_for(output.exists)
            values = json.loads(output.read_text())
            if values[3] == "kitty":
                outer.wait_for(lambda: b"\x1b_G" in outer.output)  # without the tmux wrapper
        finally:
            subprocess.run(["tmux", "-S", str(socket), "kill-server"], check=False, capture_output=True)
            outer.end()
    on = passthrough == "on"
    assert values[:2] == ["tmux", on]
    assert values[2].startswith("xterm-kitty")
    assert values[3] == ("kitty" if on else "halfcell")
    assert (PASSTHROUGH in values[4]) is not on
    assert (b"\x1b_G" in outer.output) is on
    assert b"Ptmux" not in outer.output


@pytest.mark.parametrize(("term", "advised"), [("xterm-kitty", True), ("xterm-256color", False)])
def test_curate_shows_the_advice_only_where_images_would_be_better(tmp_path: Path, term: str, advised: bool) -> None:
    workspace = build(tmp_path / "ws", [Case(), Case(text="no hat at all")])
    workspace.store.close()
    negwb = Path(sys.executable).with_name("negwb")
    command = [negwb, "-w", workspace.root, "curate", "-a", "ana", "--order", "oldest"]
    with Terminal(command, TERM=term, SSH_CONNECTION="a 1 b 2", TMUX="", STY="") as app:
        app.wait_for(b"NEGATED")
        if advised:
            app.wait_for(b'half-cell images over SSH; if it is fast: images = "kitty"')
        app.press_until("a", lambda: len(workspace.events()) >= 1)
        app.press_until("q", lambda: app.process.poll() is not None)
        assert app.end() == 0
    assert (b"half-cell" in app.output) is advised
