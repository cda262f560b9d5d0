"""Segmentation in the results app and the HTML report: IoU scores, and both masks of an item."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.results import build_workspace, lines, running, until
from support.segmentation import Scripted, columns, phrasecut_rows, predicted, write_phrasecut
from typer.testing import CliRunner

from benchmarks.segmentation import phrasecut
from benchmarks.segmentation.choices import Subset
from benchmarks.segmentation.evaluation import run_segmentation
from workbench.cli import app as cli
from workbench.images.boxes import OTHER, RIGHT
from workbench.tui.results.app import ResultsApp
from workbench.tui.results.item import ItemScreen
from workbench.tui.widgets.picture import PicturePane
from workbench.workspace.layout import Workspace

SIZES = [(80, 24), (120, 36)]
TUNED = ("tuned", "strict")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A base model that finds nothing, and a tuned one that finds the red squares and a quarter of the blue ones."""
    created = build_workspace(tmp_path / "ws")
    rows = phrasecut_rows(2, red="red square without blue")
    data = phrasecut.load(write_phrasecut(created.root / "benchmarks" / "phrasecut", rows, images=2), "test")
    whole = data.subset(Subset.ALL)
    empty = predicted(columns("red", 0))
    masks = [predicted(columns("red", 1)), predicted(columns("blue", 0.25))] * 2
    for model, label, found in (("a" * 64, "plain", [empty] * 4), ("b" * 64, "tuned", masks)):
        run_segmentation(Scripted(found, model=model), whole, results_folder=created.root / "results", label=label)
    return created


def pane(app: ResultsApp) -> PicturePane:
    return app.screen.query_one("#picture-0", PicturePane)


@pytest.mark.parametrize("size", SIZES)
async def test_item_shows_both_masks_and_the_iou(workspace: Workspace, size: tuple[int, int]) -> None:
    app = ResultsApp(workspace, start="report")
    async with running(app, size) as pilot:
        await until(pilot, lambda: "tuned" in lines(app))
        await pilot.press("down")
        await until(pilot, lambda: "mIoU" in lines(app))
        await pilot.press("i")
        await until(pilot, lambda: "IoU" in lines(app) and "1.000" in lines(app))
        assert "0.250" in lines(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ItemScreen) and pane(app).thumbnail is not None)
        shown = lines(app)
        for words in ("true mask", "╱╱ predicted mask", "red square", "tuned", "plain", "1.000", "144 of 144 pixels"):
            assert words in shown, words
        assert "NaN" not in shown
        assert "c masks" in shown
        assert "crop" not in shown
        picture = np.asarray(pane(app).thumbnail.image)
        assert (picture == RIGHT).all(axis=2).any()
        assert (picture == OTHER).all(axis=2).any()


async def test_masks_are_shown_one_by_one(workspace: Workspace) -> None:
    app = ResultsApp(workspace, start="report")

    def colours() -> tuple[bool, bool]:
        image = pane(app).thumbnail and pane(app).thumbnail.image
        if image is None:
            return False, False
        picture = np.asarray(image)
        return bool((picture == RIGHT).all(axis=2).any()), bool((picture == OTHER).all(axis=2).any())

    async with running(app) as pilot:
        await until(pilot, lambda: "tuned" in lines(app))
        await pilot.press("down", "i")
        await until(pilot, lambda: "1.000" in lines(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ItemScreen) and colours() == (True, True))
        await pilot.press("c")
        await until(pilot, lambda: colours() == (True, False))
        await pilot.press("c")
        await until(pilot, lambda: colours() == (False, True))
        await pilot.press("c")  # the mask of the base is empty
        await until(pilot, lambda: colours() == (True, False) and "mask of plain" in lines(app))
        await pilot.press("c")
        await until(pilot, lambda: colours() == (True, True))


async def test_help_and_palette_name_the_key_by_what_it_does_with_masks(workspace: Workspace) -> None:
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "tuned" in lines(app))
        await pilot.press("down", "i")
        await until(pilot, lambda: "1.000" in lines(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ItemScreen) and pane(app).thumbnail is not None)
        listed = {command.title: command.help for command in app.get_system_commands(app.screen)}
        assert "each mask" in listed["masks  (c)"]
        assert not any("crop" in title for title in listed)
        await pilot.press("question_mark")
        await until(pilot, lambda: "Show each mask alone in turn" in lines(app))
        assert "inside of each box" not in lines(app)


def test_page_shows_the_flipped_items_with_the_masks_of_both_models(workspace: Workspace) -> None:
    result = CliRunner().invoke(cli, ["-w", str(workspace.root), "report", "--html", "-"])
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    assert "phrasecut-clipseg: IoU of the masks" in text
    assert "<th>vs ref</th>" in text
    assert "vs base" not in text
    assert "Solid outline: the true mask; hatched: the mask of tuned, then of the other model." in text
    (figure, *_) = re.findall(r"<figure.*?</figure>", text, re.DOTALL)
    assert figure.count("<img") == 2
    assert "true mask outlined, predicted mask hatched" in figure
    assert re.search(r"IoU</td>.*1\.000 ✓.*0\.000", figure, re.DOTALL)


async def test_slices_screen_shows_the_iou_of_each_slice(workspace: Workspace) -> None:
    for size in SIZES:
        app = ResultsApp(workspace, start="report")
        async with running(app, size) as pilot:
            await until(pilot, lambda app=app: "tuned" in lines(app))
            await pilot.press("down", "enter")
            await until(pilot, lambda app=app: "cue" in lines(app) and "all items" in lines(app))
            shown = lines(app).splitlines()
            (head,) = (line for line in shown if "mIoU %" in line)
            for name, iou in (("all items", "62.5"), ("cue         not ", "25.0"), ("cue         without", "100.0")):
                (line,) = (line for line in shown if line.lstrip(" │▸").startswith(name))
                assert line[: head.index("mIoU %") + 6].endswith(f" {iou}"), (size, line)


def test_report_has_the_iou_of_each_cue(workspace: Workspace) -> None:
    def report(*words: str) -> str:
        result = CliRunner().invoke(cli, ["-w", str(workspace.root), "report", *words])
        assert result.exit_code == 0, result.stderr
        return str(result.stdout)

    text = report("--slices", "--plain")
    table = text[text.index("PHRASECUT-CLIPSEG, STRICT, IOU OF THE MASKS BY CUE") :].split("\n\n")[0]
    rows = [line.split() for line in table.splitlines() if "tuned" in line]
    # the masks of a cue are alike, so each resample has the same mean
    assert rows[1] == ["without", "tuned", "2", "100.0", "100.0-100.0", "+100.0", "+100.0..+100.0", *rows[1][3:7]]
    assert rows[0] == ["not", "tuned", "2", "25.0", "25.0-25.0", "+25.0", "+25.0..+25.0", *rows[0][3:7]]
    (row,) = (each for each in json.loads(report("--json"))["rows"] if (each["model"], each["protocol"]) == TUNED)
    (part,) = (each for each in row["slices"] if (each["cut"], each["value"]) == ("cue", "not"))
    assert part["masks"]["mean_iou"] == {"estimate": 0.25, "low": 0.25, "high": 0.25}
    assert part["masks"]["base"]["mean_iou"]["estimate"] == 0.25
    assert (part["correct"], part["n"]) == (0, 2)
    (line,) = (
        each
        for each in csv.DictReader(io.StringIO(report("--csv")))
        if (each["kind"], each["metric"], each["model"], each["protocol"]) == ("slice", "mean_iou", *TUNED)
        and each["value"] == "not"
    )
    assert [float(line[name]) for name in ("share", "low", "high", "difference")] == [0.25] * 4
    details = report("--html", "-").partition("<details>")[2].partition("</details>")[0]
    assert "IoU of the masks by cue" in details
    assert re.search(r"<td class=\"t\">not</td><td class=\"t\">tuned</td><td>2</td><td>25\.0</td>", details)


def test_published_record_tells_how_the_masks_were_scored(workspace: Workspace, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["-w", str(workspace.root), "report", "--publish", str(tmp_path / "kit")])
    assert result.exit_code == 0, result.stderr
    records = "".join(path.read_text() for path in sorted((tmp_path / "kit" / "data").rglob("*.json*")))
    assert "overlap of the predicted and the true mask, route clipseg, strict protocol of negwb" in records
    assert '"mIoU": "0.625 ' in records
    assert "cosine" not in records
