"""The README's screenshots show the app as it is: all of them are taken again and compared by their words.

Take them again after a change of a text, in the folder tests: `python -m tools.screenshots screenshots`, and likewise
generation_screenshots, side_screen_screenshots and audit_screenshot; results_screenshots and html_report_picture need a
demo run with --auto, the latter also Chromium; text_to_image_screenshot and segmentation_screenshot need results of
`negwb apply t2i` and `negwb apply ris`.
"""

from __future__ import annotations

import asyncio
import html
import re
from pathlib import Path

import pytest
from PIL import Image
from support.results import build_workspace, fill_results, make_run
from support.tour import READMES
from tools import (
    audit_screenshot,
    generation_screenshots,
    html_report_picture,
    results_screenshots,
    screenshots,
    segmentation_screenshot,
    side_screen_screenshots,
    text_to_image_screenshot,
)
from tools.screenshots import Shot

from workbench.images.mask_overlay import LEGEND
from workbench.tui.results.context import Page
from workbench.workspace.layout import Workspace

STORED = Path(__file__).resolve().parents[2] / "screenshots"
RESULTS = {shot.name: (page, shot) for page, shot in results_screenshots.SHOTS}
SCRIPTED = [
    *(shot.name for shot in (*screenshots.SHOTS, *generation_screenshots.SHOTS, *side_screen_screenshots.SHOTS)),
    *RESULTS,
    text_to_image_screenshot.SHOT.name,
    segmentation_screenshot.SHOT.name,
]
PICTURES = [*(f"{name}.svg" for name in (*SCRIPTED, audit_screenshot.NAME)), f"{html_report_picture.NAME}.png"]
SIDE_SCREENS = [
    pytest.param(shot, marks=[] if index == 0 else [pytest.mark.long])
    for index, shot in enumerate(side_screen_screenshots.SHOTS)
]
_TIME = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d(:\d\d)?")
_LABEL = re.compile(r"[a-z][a-z ]{2,9} +")
_DATA = {"demo", "base", "tuned", "vs base", "vs ref"}
"""Labels that name models, or say whether a run started from the one that they are compared with."""


def texts(svg: str) -> list[tuple[float, str]]:
    """Return all texts of a screenshot with their y position, in reading order; image cells are left out."""
    elements = re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>([^<]*)</text>', svg)
    named = [(float(y), html.unescape(text).replace("\xa0", " ")) for y, text in elements]
    return [(y, text) for y, text in named if text.strip("▀▄ \n")]


def words(svg: str) -> list[str]:
    """Return all texts of a screenshot, with times of day masked."""
    return [_TIME.sub("TIME", text) for _, text in texts(svg)]


def interface(svg: str) -> tuple[list[str], list[str], set[str]]:
    """Return the texts that do not depend on the data: path, table titles or frame, key hints; and the labels."""
    rows: dict[float, list[str]] = {}
    for y, text in texts(svg):
        rows.setdefault(y, []).append(text)
    order = [rows[y] for y in sorted(rows) if rows[y] != ["negwb report"] and not rows[y][0].startswith("negwb runs")]
    path = [re.sub(r"\w*\d\w*", "N", text) for text in order[0][:-1]]
    labels = {text.strip() for _, text in texts(svg) if _LABEL.fullmatch(text)} - _DATA
    return path, [text.strip() for text in order[-1]], labels


def stored(name: str) -> str:
    return (STORED / f"{name}.svg").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    screenshots.take_all(folder)
    return folder


@pytest.fixture(scope="module")
def decided_demo(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return side_screen_screenshots.build_workspace(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Create a workspace with invented results and runs under the names of the demo's models."""
    workspace = build_workspace(tmp_path_factory.mktemp("results") / "workspace")
    fill_results(workspace)
    for name in ("tuned", "trained-on-all", "negated-only"):
        make_run(workspace, name)
    return workspace


@pytest.mark.long
@pytest.mark.parametrize("name", [shot.name for shot in screenshots.SHOTS])
def test_a_screenshot_of_a_card_is_current(cards: Path, name: str) -> None:
    assert words((cards / f"{name}.svg").read_text(encoding="utf-8")) == words(stored(name))


def test_the_screenshot_of_a_generation_run_is_current(tmp_path: Path) -> None:
    (taken,) = generation_screenshots.take_generation(tmp_path)
    assert words(taken.read_text(encoding="utf-8")) == words(stored(taken.stem))


@pytest.mark.parametrize("shot", SIDE_SCREENS, ids=lambda shot: shot.name)
def test_a_screenshot_of_a_side_screen_is_current(decided_demo: Workspace, shot: Shot) -> None:
    assert words(asyncio.run(side_screen_screenshots.take(decided_demo, shot))) == words(stored(shot.name))


def test_the_picture_of_the_audit_is_current(decided_demo: Workspace) -> None:
    assert words(audit_screenshot.draw(decided_demo)) == words(stored(audit_screenshot.NAME))


@pytest.mark.long
@pytest.mark.parametrize(("page", "shot"), RESULTS.values(), ids=RESULTS)
def test_a_screenshot_of_the_results_is_current(results: Workspace, page: Page, shot: Shot) -> None:
    """The figures come from a training and differ between machines, so only the texts of the screen are compared."""
    path, keys, labels = interface(asyncio.run(results_screenshots.take(results, page, shot)))
    old_path, old_keys, old_labels = interface(stored(shot.name))
    assert (old_path, old_keys) == (path, keys)
    assert shot.name == "slices" or old_labels <= labels, "the labels of slices are data"


def test_the_screenshot_of_masks_is_current() -> None:
    shown = _squeezed(" ".join(words(stored(segmentation_screenshot.SHOT.name))))
    for text in (LEGEND, "IoU", "pixels", segmentation_screenshot.ROW[0], "c masks"):
        assert _squeezed(text) in shown, text


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_every_screenshot_has_a_script() -> None:
    assert sorted(PICTURES) == sorted(path.name for path in STORED.iterdir())


def test_the_picture_of_the_html_report_is_small() -> None:
    path = STORED / f"{html_report_picture.NAME}.png"
    assert path.stat().st_size < 300_000
    with Image.open(path) as image:
        assert image.width > 1_000


def test_the_readmes_show_every_screenshot() -> None:
    shown = "".join(readme.read_text(encoding="utf-8") for readme in READMES)
    assert [name for name in PICTURES if f"tests/screenshots/{name})" not in shown] == []
