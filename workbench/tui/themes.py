"""The two themes of negwb. Any Textual theme works too: the style sheets use theme variables only.

Quiet greys, so that image and caption stand out; one warm accent for the negation cue. Success is blue-green and error
orange-red, which deuteranopes tell apart. Quiet text is 70 % foreground, which reaches a contrast of 4.5:1.
"""

from __future__ import annotations

import os
from pathlib import Path

from textual.theme import Theme

from workbench.console.terminal_background import is_light
from workbench.errors import UsageError
from workbench.workspace.settings.settings import AUTO_THEME, OWN_THEMES

DARK = Theme(
    name="negwb-dark",
    primary="#86a9cc",
    secondary="#a99ccf",
    accent="#e8b06a",
    warning="#e5c07b",
    error="#f0714f",
    success="#5cb8c4",
    foreground="#d7dce2",
    background="#14171b",
    surface="#191d22",
    panel="#232830",
    dark=True,
    variables={"border": "#39414c", "block-cursor-text-style": "none", "input-selection-background": "#86a9cc 35%"},
)
LIGHT = Theme(
    name="negwb-light",
    primary="#2d5f8a",
    secondary="#65559b",
    accent="#9a5206",
    warning="#8a6100",
    error="#b5300f",
    success="#006a7c",
    foreground="#2a2e33",
    background="#fbf9f5",
    surface="#f4f1ea",
    panel="#e9e4d9",
    dark=False,
    variables={"border": "#c9c1b2", "block-cursor-text-style": "none", "input-selection-background": "#2d5f8a 25%"},
)
THEMES = (DARK, LIGHT)


def known() -> list[str]:
    """Return the names of all themes, negwb's first."""
    from textual.theme import BUILTIN_THEMES  # loaded with `Theme`

    return [theme.name for theme in THEMES] + sorted(BUILTIN_THEMES)


def resolve_theme(setting: str) -> str:
    """Return the name of the theme to use; for "auto" the terminal is asked, so call it before the app runs."""
    if setting != AUTO_THEME:
        return setting
    return LIGHT.name if is_light(os.environ) else DARK.name


def check_theme(name: str, path: Path) -> None:
    """Check the theme that the settings file `path` names.

    Raises:
        UsageError: neither negwb nor Textual has a theme of this name.
    """
    if name not in OWN_THEMES and name not in known():
        raise UsageError(f"{path}: [curate] theme = {name!r}", hint=f"one of: {AUTO_THEME}, {', '.join(known())}")
