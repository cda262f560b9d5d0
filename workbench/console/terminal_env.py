"""The environment of the terminal (tmux, screen, SSH), and its effect on the drawing of images."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_PATIENCE = 1.0
_FORMAT = "#{allow-passthrough} #{client_termname} #{client_termtype}"
_LET_THROUGH = {"1", "on", "all"}
"""Values in different versions of tmux."""
_PLACEHOLDERS = ("kitty", "ghostty")
"""Names of terminals with Kitty's Unicode placeholders, which work inside tmux."""


@dataclass(frozen=True, slots=True)
class TerminalEnv:
    """The programs between the app and the screen."""

    multiplexer: str = ""
    """tmux, screen or ""."""
    passthrough: bool = False
    """Whether tmux passes graphics on."""
    remote: bool = False
    """Whether the connection is SSH."""
    terminal: str = ""
    """The name of the terminal, if known; inside tmux that of the terminal around it."""

    @property
    def draws(self) -> bool:
        """Whether the terminal has Kitty's placeholders, by its name."""
        return any(name in self.terminal.lower() for name in _PLACEHOLDERS)


def detect_terminal(environ: Mapping[str, str], ask: Callable[[str], str] | None = None) -> TerminalEnv:
    """Detect the terminal from environment variables.

    Args:
        ask: Returns the values of `_FORMAT` from the tmux server of $TMUX.
    """
    term = environ.get("TERM", "")
    remote = bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))
    if server := environ.get("TMUX"):
        passthrough, _, outer = (ask or _ask_tmux)(server).partition(" ")
        return TerminalEnv("tmux", passthrough in _LET_THROUGH, remote, outer.strip())
    if environ.get("STY") or term.startswith(("tmux", "screen")):  # tmux on the other side of SSH sets only TERM
        return TerminalEnv("tmux" if term.startswith("tmux") else "screen", False, remote)
    return TerminalEnv("", False, remote, f"{term} {environ.get('TERM_PROGRAM', '')}".strip())


def _ask_tmux(server: str) -> str:
    try:
        done = subprocess.run(
            ("tmux", "display-message", "-p", _FORMAT),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TMUX": server},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def reason(setting: str, chosen: str, around: TerminalEnv) -> str:
    """Return why images are drawn with the chosen protocol, in one line."""
    if setting != "auto":
        return f'images = "{setting}"' + ("" if setting == chosen else ", which this terminal does not support")
    if chosen == "halfcell":
        return _limitation(around)
    return f"{around.terminal} through tmux" if around.multiplexer else "this terminal supports it"


def _limitation(around: TerminalEnv) -> str:
    if around.multiplexer == "tmux" and not around.passthrough:
        return "tmux without passthrough; in tmux.conf: set -g allow-passthrough on"
    if around.multiplexer == "tmux" and not around.draws:
        return f"tmux in {around.terminal or 'an unknown terminal'}, not one with Kitty's graphics"
    if around.multiplexer == "screen":
        return "screen passes no graphics on"
    if around.remote:
        return 'they need the fewest bytes over SSH; with a fast connection: images = "kitty"'
    return f"this terminal ({around.terminal or 'TERM is not set'}) did not report anything better in time"


def advice(setting: str, chosen: str, around: TerminalEnv) -> str:
    """Return how to get better images, in at most 58 characters; "" if this terminal has nothing better."""
    if setting != "auto" or chosen != "halfcell":
        return ""
    if around.multiplexer == "tmux" and not around.passthrough:
        return "half-cell images: tmux needs set -g allow-passthrough on"
    return 'half-cell images over SSH; if it is fast: images = "kitty"' if around.remote and around.draws else ""
