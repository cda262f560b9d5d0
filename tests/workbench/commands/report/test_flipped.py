"""The flipped items of `negwb report --html`: which, with which images and scores, within which limits."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.results import HOSTILE, build_workspace, fill_results, make_result
from typer.testing import CliRunner

from benchmarks.schema import ItemRow
from workbench.cli import app
from workbench.errors import UsageError
from workbench.reports.html import flipped_items
from workbench.reports.item_answers import boxes_of, images_of
from workbench.workspace.layout import Workspace

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=y> no " + HOSTILE


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two models; the images of one task are missing."""
    created = build_workspace(tmp_path_factory.mktemp("flipped") / "ws")
    fill_results(created)
    for model, right in (("base", [True, False]), ("tuned", [False, False])):
        make_result(created, "=1+1-negref", model, right, text=EVIL)
    folder = created.root / "benchmarks" / "demo-negref"
    folder.mkdir()
    for at in range(20):
        Image.effect_noise((100, 60), 90).save(folder / f"s{at}.png")
    return created


def report(workspace: Workspace, *words: str) -> Any:
    return CliRunner().invoke(app, ["-w", str(workspace.root), "report", *words])


def page(workspace: Workspace, *words: str) -> str:
    result = report(workspace, "--html", "-", *words)
    assert result.exit_code == 0, result.stderr
    return str(result.stdout)


def figures(text: str, task: str) -> list[str]:
    (section,) = re.findall(rf"<h3>{task}, strict, against .*?(?=<h3>|<h2>)", text, re.DOTALL)
    return re.findall(r"<figure.*?</figure>", section, re.DOTALL)


def test_gained_and_lost_items_are_shown_with_images_and_scores(workspace: Workspace) -> None:
    text = page(workspace)
    assert "<h3>demo-negref, strict, against base: 13 gained, 0 lost of 20</h3>" in text
    shown = figures(text, "demo-negref")
    assert len(shown) == flipped_items.MOST_ITEMS
    ids = [int(found) for each in shown for found in re.findall("item i([0-9]+)", each)]
    assert ids == sorted(ids)
    assert set(ids) < set(range(4, 17)), "right by the tuned model only"
    for each in shown:
        assert each.count("▲ gained") == 1
        assert re.search("<mark>(no|without)</mark>", each)
        cells = re.findall("<td[^>]*>(.*?)</td>", each)
        assert cells == ["<b>A</b> ✓", "+0.300 ◀", "+0.200", "<b>B</b>", "+0.200", "+0.300 ◀"]
        (data,) = re.findall('src="data:image/jpeg;base64,([^"]*)"', each)
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert (image.format, max(image.size)) == ("JPEG", flipped_items.LONGEST_SIDE)
            blue = image.convert("RGB").getpixel((16, 80))
        assert isinstance(blue, tuple)
        assert blue[2] - blue[0] > 60, "the right box is drawn"
    assert [each.count("▼ lost") for each in figures(text, "demo-affirm")] == [1, 1]
    assert all("the image is missing" in each for each in figures(text, "demo-affirm"))


def test_hostile_texts_are_escaped_in_the_items(workspace: Workspace) -> None:
    text = page(workspace, "--flipped", "tuned")
    (figure,) = figures(text, re.escape("=1+1-negref"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in figure
    assert "<mark>no</mark>" in figure
    assert set(re.findall("<([a-z]+)", figure)) <= set(
        ["figure", "div", "span", "figcaption", "b", "p", "mark", "table", "thead", "tbody", "tr", "th", "td"]
    )
    assert not set(text) & {"\x1b", "\x07", "\u202e", "\u2066"}
    sources = re.findall("<img[^>]*src=(.{12})", text)
    assert set(sources) == {'"data:image/'}
    assert "default-src 'none'; img-src data:" in text


def test_hostile_names_are_escaped_in_the_items(tmp_path: Path) -> None:
    created = build_workspace(tmp_path / "ws")
    for model, right in (("base", [True, False]), (EVIL, [False, True])):
        make_result(created, "demo-negref", model, right)
    text = page(created)
    assert len(figures(text, "demo-negref")) == 2
    assert "<script" not in text
    assert "<img" not in text
    assert text.partition("<h2>Flipped items")[2].count("&lt;script&gt;") > 2


def test_the_images_of_a_page_are_limited(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = page(workspace)
    sizes = [len(data) * 3 // 4 for data in re.findall('base64,([^"]*)', whole)]
    monkeypatch.setattr(flipped_items, "MOST_BYTES", sum(sizes[:5]) + 1_000)
    text = page(workspace)
    assert text.count("<img ") == 5
    assert "no room for more images" in text
    left_out = re.search("([0-9]+) more images had no room", text)
    assert left_out is not None
    assert int(left_out.group(1)) == text.count("no room for more images") >= len(sizes) - 5


def test_the_model_is_chosen(workspace: Workspace, tmp_path: Path) -> None:
    assert "Flipped items of tuned" in page(workspace)
    turned = page(workspace, "--base", "tuned", "--flipped", "base")
    assert "Flipped items of base" in turned
    assert "<h3>demo-negref, strict, against tuned: 0 gained, 13 lost" in turned
    for words in (["--flipped", "base"], ["--flipped", "nobody"]):
        assert isinstance(report(workspace, "--html", str(tmp_path / "x.html"), *words).exception, UsageError), words
        assert not (tmp_path / "x.html").exists()
    assert isinstance(report(workspace, "--flipped", "tuned").exception, UsageError), "an option without effect"


def test_each_task_names_the_model_that_it_compares_with(tmp_path: Path) -> None:
    created = build_workspace(tmp_path / "ws")
    for model, right in (("base", [True, False, False]), ("tuned", [True, True, True])):
        make_result(created, "demo-negref", model, right)
    for model, right in (("plain", [True, True, False]), ("tuned", [False, True, True])):
        make_result(created, "demo-affirm", model, right, reference="plain")
    text = page(created, "--flipped", "tuned")
    assert "<h2>Flipped items of tuned</h2>" in text
    assert "<h3>demo-negref, strict, against base: 2 gained, 0 lost of 3</h3>" in text
    assert "<h3>demo-affirm, strict, against plain: 1 gained, 1 lost of 3</h3>" in text
    for task, other in (("demo-negref", "base"), ("demo-affirm", "plain")):
        heads = {head for figure in figures(text, task) for head in re.findall("<th>([^<]*)</th>", figure)}
        assert heads == {"tuned", other}


def test_of_several_models_none_is_shown_unless_it_is_named(tmp_path: Path) -> None:
    created = build_workspace(tmp_path / "ws")
    for model in ("base", "one-tuned", "other-tuned"):
        make_result(created, "demo-negref", model, [model == "one-tuned", True])
    text = page(created)
    assert "<figure" not in text
    assert "negwb report --html FILE --flipped MODEL" in text
    assert page(created, "--flipped", "one-tuned").count("<figure") == 1
    assert "Both models answer all items alike." in page(created, "--flipped", "other-tuned")


def item(**keys: Any) -> ItemRow:
    row: dict[str, Any] = {"image": "a.jpg", "options": [[0, 0, 9, 9], [9, 9, 9, 9]], "rank": None, "target": 0}
    return {**row, **keys}  # type: ignore[typeddict-item, return-value]


def test_the_images_and_boxes_of_every_kind_of_item() -> None:
    pairs = [{"image": name, "box": box, "text": "t"} for name, box in (("a", 1), ("a", 1), ("b", 2), ("b", 2))]
    same = [{**pair, "image": "a"} for pair in pairs]
    for row, images, boxes in (
        (item(), ["a.jpg"], 2),
        (item(options=["no hat", "a hat"]), ["a.jpg"], 0),
        (item(options=["a.jpg", "b.jpg"], rank=3), ["a.jpg", "b.jpg"], 0),
        (item(options=["no hat", "a hat"], rank=3), ["a.jpg"], 0),
        (item(options=pairs), ["a", "b"], 0),
        (item(options=same), ["a"], 2),
        (item(image="", options=["x", "y", "z"], answers=[], target=-1), ["x", "y"], 0),
    ):
        assert images_of(row) == images
        assert len(boxes_of(row)) == boxes
