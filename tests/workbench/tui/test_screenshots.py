"""The README's screenshots show the app as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools import generation_screenshots
from tools.screenshots import SHOTS, take_all

KEPT = Path(__file__).resolve().parents[1] / "screenshots"


def words(svg: Path) -> list[str]:
    """The texts on the screen; picture cells left out, a library's next version may blend them differently."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))
    return [text for text in texts if text.replace("&#160;", "").strip("▀▄ ")]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("screenshots")
    take_all(folder)
    return folder


@pytest.mark.parametrize("name", [shot.name for shot in SHOTS])
def test_a_screenshot_is_what_the_app_shows(taken: Path, name: str) -> None:
    """Mend with: cd tests && uv run python -m tools.screenshots screenshots"""
    assert words(taken / f"{name}.svg") == words(KEPT / f"{name}.svg")


def test_the_screenshot_of_generating_is_what_the_lab_shows(tmp_path: Path) -> None:
    """Mend with: cd tests && uv run python -m tools.generation_screenshots screenshots"""
    (taken,) = generation_screenshots.take_generation(tmp_path)
    assert words(taken) == words(KEPT / taken.name)


def test_the_readme_shows_them_all() -> None:
    readme = (KEPT.parents[1] / "README.md").read_text(encoding="utf-8")
    shown = (*SHOTS, *generation_screenshots.SHOTS)
    assert all(f"tests/screenshots/{shot.name}.svg" in readme for shot in shown)
