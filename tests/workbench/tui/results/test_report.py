"""Tests of the report screen: figures with their context, and the screens of one item and its image."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.benches import TinyModel, draw_picture
from support.results import HOSTILE, build_workspace, fill_results, lines, make_result, running, until
from support.screen_sizes import SIZES, THEMES

from benchmarks.registry import task_from_file, task_from_folder
from benchmarks.runner import run_task
from benchmarks.schema import ItemRow
from benchmarks.task import Task
from curation_db.stats.intervals import Interval
from workbench.images.boxes import RIGHT, picture_in_box, picture_with_boxes
from workbench.reports.benchmark_images import located
from workbench.reports.interval_bars import interval_bar
from workbench.reports.retention import RetentionPlot, RetentionPoint
from workbench.tui.rendering.items import scores
from workbench.tui.rendering.report import cells_of
from workbench.tui.rendering.retention import retention_chart
from workbench.tui.results.app import ResultsApp
from workbench.tui.results.item import ItemScreen
from workbench.tui.results.report import ReportScreen
from workbench.tui.results.runs import RunsScreen
from workbench.tui.results.slices import ItemsScreen, SlicesScreen
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.widgets.picture import PicturePane
from workbench.workspace.layout import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    created = build_workspace(tmp_path / "workspace")
    fill_results(created)
    return created


def row_of(app: ResultsApp, task: str, model: str) -> str:
    rows = (line for line in lines(app).split("\n") if line.replace("▸", " ").strip("│").split()[:2] == [task, model])
    return next(rows)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", THEMES)
async def test_every_figure_is_shown_with_its_context(workspace: Workspace, size: tuple[int, int], theme: str) -> None:
    app = ResultsApp(workspace, start="report", theme=theme)
    async with running(app, size) as pilot:
        await until(pilot, lambda: "demo-negref" in lines(app))
        denied = row_of(app, "demo-negref", "tuned")
        for words in ("20", "85.0", "64.0–94.8", "80.0", "+65.0"):  # n, share, Wilson, affirmed, against the base
            assert words in denied
        if size[0] > 100:
            assert "0.0007" in denied, "corrected for three tasks"
            assert "≠ 100.0" in row_of(app, "negrefcocog", "base"), "official beside strict, where they differ"
            assert "same" in row_of(app, "negrefcocog", "tuned")
        await pilot.press("end")
        await pilot.pause()
        content = lines(app)
        assert "10 of 20 = 50.0 %" in content
        assert "a baseline that does not see the image does as well" in content or "smaller box 50.0" in content
        if size[0] > 100:
            assert "PUBLISHED" in content
            assert "arXiv" in content


async def test_a_missing_affirmed_task_is_reported(tmp_path: Path) -> None:
    workspace = build_workspace(tmp_path / "workspace")
    make_result(workspace, "demo-negref", "base", [True, False])
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "demo-affirm was not run" in " ".join(lines(app).split()))
        assert "not run" in row_of(app, "demo-negref", "base")


async def test_a_missing_affirmative_twin_is_reported_on_every_screen(workspace: Workspace) -> None:
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "negrefcocog" in lines(app))
        assert "no twin" in row_of(app, "negrefcocog", "base")
        assert "no twin" not in row_of(app, "demo-affirm", "base")
        await pilot.press("end")
        await until(pilot, lambda: "no affirmative twin" in lines(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SlicesScreen))
        assert "affirmed no twin" in lines(app)


async def test_colour_follows_mcnemar_and_few_differing_items_are_reported(tmp_path: Path) -> None:
    workspace = build_workspace(tmp_path / "workspace")
    for model, right in (("base", 0), ("tuned-up", 2)):
        make_result(workspace, "demo-affirm", model, [at < right for at in range(2)])
    for model, right in (("base", 0), ("tuned-up", 12)):
        make_result(workspace, "other-affirm", model, [at < right for at in range(20)])
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "other-affirm" in lines(app))
        unsure, sure = (line for line in app.screen.lines if line.main.model == "tuned-up")
        assert unsure.main.base.p_value == 0.5
        content = [cells_of(line, ["base"])[0] for line in (unsure, sure)]
        assert [(cell.plain, bool(cell.spans)) for cell in content] == [("+100.0", False), ("+60.0", True)]
        await pilot.press("down")
        await until(pilot, lambda: "fewer than 10 differ" in " ".join(lines(app).replace("│", " ").split()))


async def test_damaged_results_are_listed_and_do_not_end_the_screen(workspace: Workspace) -> None:
    results = sorted((workspace.root / "results").glob("demo-negref*.json"))
    for path, key, value in zip(results, ("metrics", "ties"), ({}, float("nan")), strict=False):
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "2 files skipped" in lines(app))
        assert "negrefcocog" in lines(app)
        assert "is damaged" in " ".join(lines(app).replace("│", " ").split()) or "no number" in lines(app)


async def test_the_progress_of_many_results_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = build_workspace(tmp_path / "workspace")
    for at in range(41):
        make_result(workspace, "demo-affirm", f"run-{at}", [True, False])
    shown: list[str] = []
    update = ReportScreen._update_header

    def recorded(screen: ReportScreen, right: str) -> None:
        shown.append(right)
        update(screen, right)

    monkeypatch.setattr(ReportScreen, "_update_header", recorded)
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "demo-affirm" in lines(app))
    assert shown[:4] == ["reading …", "comparing 0 of 41 …", "comparing 20 of 41 …", "comparing 40 of 41 …"]


async def test_the_stated_base_is_used(workspace: Workspace) -> None:
    app = ResultsApp(workspace, start="report", base="tuned")
    async with running(app) as pilot:
        await until(pilot, lambda: "reference: tuned" in lines(app))


async def test_images_are_read_from_the_folders_of_the_benchmark_run(tmp_path: Path) -> None:
    workspace = build_workspace(tmp_path / "workspace")
    coco = tmp_path / "elsewhere" / "train2014"
    coco.mkdir(parents=True)
    for at in range(3):
        draw_picture(coco / f"{at}.jpg", (64, 40), at)
    boxes = [[0, 0, 20, 20], [20, 0, 40, 40]]
    rows = [{"image": f"{at}.jpg", "phrase": "no hat", "ref_bbox": boxes[0], "bbox_list": boxes} for at in range(3)]
    (tmp_path / "mine.json").write_text(json.dumps(rows))
    run_task(
        TinyModel(1), task_from_file("mine", tmp_path / "mine.json", coco), results_folder=workspace.root / "results"
    )
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "mine" in lines(app))
        await open_first_item(pilot)
        assert pane(app).thumbnail.problem is None
        assert pane(app).thumbnail.image is not None


async def open_first_item(pilot: Any) -> None:
    """Open the items of a line of the report and then the first item, each once it has been read."""
    await pilot.press("i")
    await until(pilot, lambda: isinstance(pilot.app.screen, ItemsScreen) and bool(pilot.app.screen.items))
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, ItemScreen) and pane(pilot.app).thumbnail is not None)


@asynccontextmanager
async def opened_item(folder: Path, row: dict[str, Any]) -> AsyncIterator[str]:
    """Evaluate a model on one item about the image a.jpg, and open the item; the text of the screen."""
    draw_picture(folder / "a.jpg", (64, 40), 1)
    (folder / "mine.json").write_text(json.dumps([row]))
    async with first_item(folder, task_from_file("mine", folder / "mine.json", folder)) as content:
        yield content


@asynccontextmanager
async def first_item(folder: Path, task: Task) -> AsyncIterator[str]:
    """Evaluate a model on the task "mine", and open its first item; the text of the screen."""
    workspace = build_workspace(folder / "workspace")
    run_task(TinyModel(1), task, results_folder=workspace.root / "results")
    app = ResultsApp(workspace, start="report")
    async with running(app, (80, 24)) as pilot:
        await until(pilot, lambda: "mine" in lines(app))
        await open_first_item(pilot)
        assert pane(app).thumbnail.image is not None
        yield lines(app)


async def test_the_captions_of_an_item_are_shown_with_their_scores(tmp_path: Path) -> None:
    captions = ["There are no dogs [bold]here[/]\x1b[31m", "There are dogs"]
    async with opened_item(tmp_path, {"image": "a.jpg", "captions": captions, "right": 0}) as content:
        for words in ("There are no dogs", "[bold]here[/][31m", "There are dogs", "✓ right"):
            assert words in content
        assert "right box" not in content


async def test_the_class_of_an_image_is_shown_beside_the_best_wrong_one(tmp_path: Path) -> None:
    for name in ("red_fox", "dog"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        draw_picture(tmp_path / "mine" / name / "a.jpg", (64, 40), 1)
    async with first_item(tmp_path, task_from_folder(tmp_path / "mine")) as content:
        assert "item dog/a.jpg" in content.replace("\n", " ")
        assert content.index("✓ right") < content.index("  dog") < content.index("  red fox")
        assert "rank" in content
        assert "right box" not in content


async def test_the_four_scores_of_twins_are_shown_with_their_texts(tmp_path: Path) -> None:
    row = {"images": ["a.jpg", "a.jpg"], "boxes": [[0, 0, 30, 40], [32, 0, 30, 40]], "texts": ["a hat", "no hat"]}
    async with opened_item(tmp_path, row) as content:
        assert content.count("a hat") == content.count("no hat") == content.count("✓ true") == 2
        assert [content.count(f" {name} ▓") for name in "AB"] == [2, 2]


@pytest.mark.parametrize("size", SIZES)
async def test_an_item_opens_and_closes(workspace: Workspace, size: tuple[int, int]) -> None:
    app = ResultsApp(workspace, start="report")
    async with running(app, size) as pilot:
        await until(pilot, lambda: "demo-negref" in lines(app))
        await pilot.press("down", "down", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, SlicesScreen))
        assert "affirmed 80.0 %" in lines(app)
        assert "without" in lines(app)
        bar = "━━━━━━━━━━━━━━━━━══════●───┈" if size[0] >= 112 else "━━━━━━══●─"  # 85.0 %, 64.0 to 94.8
        await until(pilot, lambda: bar in lines(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "10 of 20 · all · cue: no" in lines(app))
        await pilot.press("w")
        await until(pilot, lambda: "1 of 20 · wrong" in lines(app) or "2 of 20 · wrong" in lines(app))
        await pilot.press("d", "enter")
        await until(pilot, lambda: isinstance(app.screen, ItemScreen))
        await until(pilot, lambda: pane(app).thumbnail is not None)
        content = lines(app)
        for words in ("✓ right", "◀ chosen", "+0.300", "right box", "affirmed 80.0 %", "reference ✗"):
            assert words in content.replace("\n", " ") or words in content
        first = app.screen.row["id"]
        await pilot.press("down")
        await until(pilot, lambda: app.screen.row["id"] != first)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ItemsScreen))
        assert app.screen.table.cursor == 1, "the list is where the person went"
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, ReportScreen))


async def test_gain_is_plotted_over_retention(workspace: Workspace) -> None:
    for at in range(3):
        for task, right in (("demo-negref", 10 + at), ("demo-affirm", 14)):
            make_result(workspace, task, f"other-{at}", [place < right for place in range(20)])
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "demo-negref" in lines(app))
        assert "affirmative right %" in lines(app), "beside the details of a row"
        await pilot.press("end")
        await until(pilot, lambda: "affirmative right %" not in lines(app) and "PUBLISHED" in lines(app))
        await pilot.press("home", "down", "s")
        await until(pilot, lambda: "demo-negref beside demo-affirm, strict" in lines(app))
        rows = [line.split() for line in lines(app).split("\n")]
        legend = [row[-6:-1] for row in rows if "tuned" in row and "▸" in row]
        assert legend == [["▸", "1", "tuned", "80.0", "85.0"]]
        await pilot.press("up")
        await until(pilot, lambda: "▸ 0 base" in lines(app))
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "▸ 0 base" in lines(app) and "other-2" in lines(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ReportScreen))


async def test_gained_and_lost_items_have_the_scores_of_the_base(workspace: Workspace) -> None:
    app = ResultsApp(workspace, start="report")
    async with running(app, (80, 24)) as pilot:
        await until(pilot, lambda: "demo-negref" in lines(app))
        await pilot.press("down", "i")  # tuned on demo-affirm
        await until(pilot, lambda: "against base: ▲ 0 gained · ▼ 2 lost · 16 both right · 2 both wrong" in lines(app))
        await pilot.press("plus")
        await until(pilot, lambda: "no such item" in lines(app) and "0 of 20 · gained" in lines(app))
        await pilot.press("minus")
        await until(pilot, lambda: "2 of 20 · lost" in lines(app))
        listed = [line.strip(" │").split() for line in lines(app).split("\n") if "▼ lost" in line and "✗" in line]
        assert [row[-2:] for row in listed] == [["-0.100", "+0.100"]] * 2
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ItemScreen) and "▼ lost" in lines(app))
        rows = [line.rstrip("│ ").split("│")[-1].split() for line in lines(app).split("\n")]
        shown = [[row[0], *row[2:]] for row in rows if row and row[0] in ("A", "B")]
        assert shown == [
            ["A", "+0.200", "✓", "right"],
            ["B", "+0.300", "◀", "chosen"],
            ["A", "+0.300", "✓", "right", "◀", "chosen"],
            ["B", "+0.200"],
        ]
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, ReportScreen))
        await pilot.press("up", "i")
        await until(pilot, lambda: "20 of 20 · all" in lines(app))
        await pilot.press("plus")
        await until(pilot, lambda: "this is the reference" in lines(app))


def test_the_bars_of_two_models_have_one_scale() -> None:
    row = {"image": "a.jpg", "options": [[0, 0, 1, 1]] * 2, "pred": 0, "target": 0, "correct": True}
    ours, base = cast("list[ItemRow]", [row | {"scores": [0.9, 0.5]}, row | {"scores": [0.2, 0.19]}])
    drawn = scores(ours, "tuned", base, "base", 42).plain.split("\n")
    lengths = [line.count("▓") for line in drawn if line[:2] in ("A ", "B ")]
    assert lengths[0] - lengths[1] == 7, "0.4 of 0.9, the whole bar of 16"
    assert lengths[2] - lengths[3] == 0, "0.01 is no difference on this scale"
    assert lengths[0] == lengths[2] == 14


def test_another_wrong_image_of_the_base_is_named() -> None:
    row = {"image": "a", "pred": 0, "target": 0, "correct": True, "scores": [0.5, 0.4], "rank": 1}
    ours, base = cast("list[ItemRow]", [row | {"options": ["a", "b"]}, row | {"options": ["a", "c"]}])
    drawn = scores(ours, "tuned", base, "base", 42).plain.split("\n")
    assert [at for at, line in enumerate(drawn) if line == "  another image"] == [len(drawn) - 1]


async def test_the_inside_of_each_box_can_be_shown(workspace: Workspace) -> None:
    benchmarks = workspace.root / "benchmarks"
    (benchmarks / "demo" / "s0.png").rename(benchmarks / "s0.png")
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "demo-negref" in lines(app))
        await open_first_item(pilot)
        for title in ("inside box A, the right one", "inside box B ", "right box"):
            await pilot.press("c")
            await until(pilot, partial(shows, app, title))
            await app.workers.wait_for_complete()
            assert pane(app).thumbnail.size == ((100, 60) if title == "right box" else (40, 50))


def shows(app: ResultsApp, text: str) -> bool:
    return text in lines(app)


def point(name: str, affirmed: tuple[float, float, float], negated: tuple[float, float, float]) -> RetentionPoint:
    report = SimpleNamespace(model=name, model_hash=name)
    rows = (SimpleNamespace(**vars(report), accuracy=Interval(*ends)) for ends in (negated, affirmed))
    return RetentionPoint(*cast("Any", rows))


def test_the_cells_of_the_scatter() -> None:
    points = (
        point("base", (0.9, 0.9, 0.9), (0.1, 0.1, 0.1)),
        point("a" * 40, (0.5, 0.5, 0.7), (0.9, 0.5, 0.9)),
        point("b", (0.9, 0.9, 0.9), (0.1, 0.1, 0.1)),
    )
    plot = RetentionPlot("negref", "affirm", "strict", points)
    drawn = retention_chart(plot, "a" * 40, 46, 12).plain.split("\n")
    assert max(map(len, drawn)) <= 46
    assert len(drawn) == 12
    columns = [line[5:24] for line in drawn]
    assert columns[1] == "1" + "─" * 9 + " " * 9, "half of the axis from 50 to 90"
    assert [line[0] for line in columns[2:5]] == ["│", "│", "│"], "down to 50 on the axis from 10 to 90"
    assert columns[8] == " " * 18 + "*", "two models in one cell"
    assert drawn[1][:5] == " 90 ┤"
    assert drawn[10].split() == ["50", "70", "90"]
    assert drawn[2][26:].split() == ["▸", "1", "a" * 14 + "…"]


def test_the_legend_of_many_models_shows_the_chosen_one() -> None:
    points = tuple(point(f"m{at}", (0.9, 0.9, 0.9), (at / 300, at / 300, at / 300)) for at in range(200))
    plot = RetentionPlot("negref", "affirm", "strict", points)
    for chosen in (0, 100, 199):
        drawn = retention_chart(plot, f"m{chosen}", 80, 20).plain
        assert "─" not in drawn.split("└")[0], "no interval is longer than its cell"
        assert f"m{chosen} " in drawn
        assert "184 more" in drawn


@pytest.mark.parametrize(
    ("ends", "drawn"),
    [
        ((0.8, 0.6, 0.9), "━━━━━━══●┈"),
        ((0.5, 0.5, 0.5), "━━━━━●┈┈┈┈"),
        ((0.0, 0.0, 0.2), "●─┈┈┈┈┈┈┈┈"),
        ((1.0, 0.8, 1.0), "━━━━━━━━═●"),
        ((0.35, 0.1, 0.7), "━══●───┈┈┈"),
    ],
)
def test_the_interval_of_a_bar(ends: tuple[float, float, float], drawn: str) -> None:
    assert interval_bar(Interval(*ends), 10) == drawn


def pane(app: ResultsApp) -> PicturePane:
    return app.screen.query_one("#picture-0", PicturePane)


async def test_another_base_can_be_chosen(workspace: Workspace) -> None:
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "reference: base" in lines(app))
        await pilot.press("down", "b")
        await until(pilot, lambda: "reference: tuned" in lines(app))
        assert "-65.0" in row_of(app, "demo-negref", "base")


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_results_are_only_text(tmp_path: Path, size: tuple[int, int]) -> None:
    workspace = build_workspace(tmp_path / "workspace")
    for model in ("base", HOSTILE):
        make_result(workspace, "x-negref", model, [True, False, True], text=HOSTILE)
    (workspace.root / "results" / "[red]x.json").write_text("\x1b[2J[/x]")
    (workspace.root / "results" / "old.json").write_text('{"schema": 99}')
    app = ResultsApp(workspace, start="report")
    async with running(app, size) as pilot:
        await until(pilot, lambda: "2 files skipped" in lines(app))
        for keys in (("end",), ("enter",), ("end", "enter"), ("enter",), ("down",), ("question_mark",), ("escape",)):
            await pilot.press(*keys)
            await pilot.pause(0.05)
            lines(app)
        assert isinstance(app.screen, ItemScreen)
        assert "[not a dog] [/x]" in " ".join(lines(app).split())
        await until(pilot, lambda: pane(app).thumbnail is not None)
        assert "the image is missing" in lines(app)
    assert app.return_code in (None, 0)


async def test_changed_items_are_refused_with_a_message(workspace: Workspace) -> None:
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "demo-negref" in lines(app))
        for path in (workspace.root / "results").glob("*.items.jsonl"):
            path.write_text("{}\n")
        await pilot.press("i")
        await until(pilot, lambda: "was changed: its hash" in " ".join(lines(app).split()))
        await pilot.press("escape", "f5")
        await until(pilot, lambda: "8 files skipped" in lines(app))


async def test_pages_are_switched_and_keep_their_state(workspace: Workspace) -> None:
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "demo-negref" in lines(app))
        await pilot.press("down", "down", "9")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("0")
        await until(pilot, lambda: isinstance(app.screen, ReportScreen) and app.screen.table.cursor == 2)
        await pilot.resize_terminal(50, 15)
        await pilot.pause()
        await pilot.resize_terminal(80, 24)
        await pilot.press("f2", "q")
    assert app.return_code == 0


async def test_the_report_opens_from_curate_and_returns(
    make_workspace: Any, open_app: Callable[..., Any], tmp_path: Path
) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with running(app) as pilot:
        await until(pilot, lambda: app.screen.shown is not None)
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("0", "question_mark")
        await until(pilot, lambda: "Compare all models with the model" in lines(app))
        await pilot.press("escape", "q")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        await pilot.press("a")
        await until(pilot, lambda: len(workspace.events()) == 1)
    assert workspace.events()[0][1] == "accept"


def test_image_names_cannot_leave_the_image_folders(tmp_path: Path) -> None:
    for name in ("negrefcocog/train2014/a.jpg", "demo-pictures/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert located(tmp_path, "negrefcocog", "a.jpg") == tmp_path / "negrefcocog/train2014/a.jpg"
    assert located(tmp_path, "demo-negref", "demo-pictures/b.png") == tmp_path / "demo-pictures/b.png"
    coco = tmp_path / "coco"
    (coco / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/c.jpg"):
        (coco / name).touch()
    assert located(tmp_path, "negrefcocog", "a.jpg", first=str(coco)) == coco / "a.jpg", "where it was run comes first"
    assert located(tmp_path, "no such/../../task", "sub/c.jpg", first=str(coco)) == coco / "sub/c.jpg"
    for first in ("", "relative", "/nowhere", "x\0y", str(coco / "..")):
        assert located(tmp_path, "demo", "../coco/a.jpg", first=first) is None
    (tmp_path / "outside.jpg").touch()
    assert located(tmp_path / "benchmarks", "demo", "../outside.jpg", first=str(coco)) is None
    assert located(tmp_path / "benchmarks", "demo", str(tmp_path / "outside.jpg"), first=str(coco)) is None
    for task, image in (("demo", "../x"), ("../demo", "b.png"), ("demo", "/etc/passwd"), ("demo", "x" * 9_000)):
        assert located(tmp_path, task, image) is None


BOXES = [
    [[10, 10, 30, 30], [50, 10, 40, 40]],
    [["x", None, 1, 2], [float("nan"), 0, 1, 1]],
    [[-5, 0, 9e300, 5]],
    ["a", {}, []],
    [[0, 0, 0, 0]],
]


@pytest.mark.parametrize("boxes", BOXES)
def test_invalid_boxes_are_drawn_without_an_error(tmp_path: Path, boxes: list[Any]) -> None:
    from PIL import Image

    Image.new("RGB", (100, 60), (40, 60, 80)).save(tmp_path / "p.png")
    drawn = picture_with_boxes(tmp_path / "p.png", (80, 80), boxes, 0, name="p.png")
    assert drawn.image is not None
    colours = {colour for _, colour in drawn.image.getcolors(1_000_000)}
    assert (RIGHT in colours) is (boxes[0] in ([10, 10, 30, 30], [-5, 0, 9e300, 5]))
    assert picture_with_boxes(None, (80, 80), boxes, 0, name="[/x]").problem == "the image is missing: [/x]"
    inside = [picture_in_box(tmp_path / "p.png", (80, 80), box, name="p.png").size for box in boxes]
    sizes = {"[10, 10, 30, 30]": (30, 30), "[50, 10, 40, 40]": (40, 40), "[-5, 0, 9e+300, 5]": (80, 4)}
    assert inside == [sizes.get(str(box), (80, 48)) for box in boxes], "no box: the whole image"
