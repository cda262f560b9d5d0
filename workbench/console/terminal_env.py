"""Where the terminal really is: inside tmux or screen, at the other end of SSH; and what that means for pictures."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_PATIENCE = 1.0
_FORMAT = "#{allow-passthrough} #{client_termname} #{client_termtype}"
_LET_THROUGH = {"1", "on", "all"}
"""The words of different versions."""
_PLACEHOLDERS = ("kitty", "ghostty")
"""Terminals with the part of Kitty's graphics that stays in place inside tmux, by their names."""


@dataclass(frozen=True, slots=True)
class TerminalEnv:
    """What lies between the app and the person's screen."""

    multiplexer: str = ""
    """tmux, screen or nothing."""
    passthrough: bool = False
    """tmux lets graphics through."""
    remote: bool = False
    """Over SSH."""
    terminal: str = ""
    """The terminal's name, as far as it is known: inside tmux the one that tmux runs in."""

    @property
    def draws(self) -> bool:
        """Whether the terminal is one that draws with Kitty's placeholders, by its name."""
        return any(name in self.terminal.lower() for name in _PLACEHOLDERS)


def detect_terminal(environ: Mapping[str, str], ask: Callable[[str], str] | None = None) -> TerminalEnv:
    """What the environment tells; `ask`: how the tmux that $TMUX names is asked for `_FORMAT`."""
    term = environ.get("TERM", "")
    remote = bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))
    if server := environ.get("TMUX"):
        passthrough, _, outer = (ask or _ask_tmux)(server).partition(" ")
        return TerminalEnv("tmux", passthrough in _LET_THROUGH, remote, outer.strip())
    if environ.get("STY") or term.startswith(("tmux", "screen")):  # tmux at the other end of SSH is seen by TERM alone
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
    """Why pictures are drawn as they are, in one line."""
    if setting != "auto":
        return f'images = "{setting}"' + ("" if setting == chosen else ", which this terminal cannot do")
    if chosen == "halfcell":
        return _held_back_by(around)
    return f"{around.terminal} by way of tmux" if around.multiplexer else "this terminal says that it can"


def _held_back_by(around: TerminalEnv) -> str:
    if around.multiplexer == "tmux" and not around.passthrough:
        return "tmux without passthrough; in tmux.conf: set -g allow-passthrough on"
    if around.multiplexer == "tmux" and not around.draws:
        return f"tmux in {around.terminal or 'an unknown terminal'}, not one with Kitty's graphics"
    if around.multiplexer == "screen":
        return "screen passes no graphics on"
    if around.remote:
        return 'over SSH they are the fewest bytes; on a fast line: images = "kitty"'
    return f"this terminal ({around.terminal or 'TERM is not set'}) offered nothing better in time"


def advice(setting: str, chosen: str, around: TerminalEnv) -> str:
    """What to tell a person once who may see better pictures; nothing where there is nothing to be had."""
    if setting != "auto" or chosen != "halfcell":
        return ""
    behind = around.multiplexer == "tmux" and not around.passthrough
    return f"pictures as half-cells: {_held_back_by(around)}" if behind or (around.remote and around.draws) else ""
