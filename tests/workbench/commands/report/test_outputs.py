"""The outputs of `negwb report` for other programs: ASCII, Markdown, CSV and HTML, each parsed back."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.results import HOSTILE, build_workspace, fill_results, make_result
from typer.testing import CliRunner

from workbench.cli import app
from workbench.commands.report import gather
from workbench.console.tables import show
from workbench.errors import UsageError
from workbench.reports.benchmark_report import listings
from workbench.reports.html.charts import COLOURS, mark
from workbench.reports.html.page import html_report
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=y> | `a` " + HOSTILE


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two models on three tasks; a third model and a fourth task with hostile names."""
    created = build_workspace(tmp_path_factory.mktemp("outputs") / "ws")
    fill_results(created)
    make_result(created, "demo-negref", EVIL, [True] * 20)
    make_result(created, "=1+1-negref", EVIL, [True, False], text=EVIL)
    return created


def report(workspace: Workspace, *words: str) -> Any:
    return CliRunner().invoke(app, ["-w", str(workspace.root), "report", *words])


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.rows and self.rows[-1] and self.tags[-1] in ("td", "th"):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def page(workspace: Workspace) -> str:
    path = workspace.root / "report.html"
    assert report(workspace, "--html", str(path)).exit_code == 0
    return path.read_text(encoding="utf-8")


def cells_of_markdown(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in cells]


def test_all_outputs_have_the_same_figures(workspace: Workspace, page: str) -> None:
    data = json.loads(report(workspace, "--json").stdout)["rows"]
    table = [line for line in csv.DictReader(io.StringIO(report(workspace, "--csv").stdout)) if line["kind"] == "model"]
    assert [(float(line["share"]), float(line["low"]), int(line["correct"])) for line in table] == [
        (row["accuracy"]["estimate"], row["accuracy"]["low"], row["correct"]) for row in data
    ]
    assert [line["difference"] and float(line["difference"]) for line in table] == [
        row["base"]["difference"]["estimate"] if row["base"] else "" for row in data
    ]
    markdown = cells_of_markdown(report(workspace, "--md").stdout)
    plain = [line.split() for line in report(workspace, "--plain").stdout.splitlines()]
    tuned = ["strict", "tuned", "17/20", "85.0", "64.0–94.8"]
    assert [row[:5] for row in markdown].count(tuned) == 1
    assert [row[:5] for row in Page(page).rows].count(tuned) == 1
    assert [row[:5] for row in plain].count([*tuned[:4], "64.0-94.8"]) == 1
    assert page.count("85.0 % (64.0–94.8) · affirmed 80.0</text>") == 1, "in the chart"


def test_csv_has_every_slice_and_no_formula(workspace: Workspace) -> None:
    data = json.loads(report(workspace, "--json").stdout)
    lines = list(csv.DictReader(io.StringIO(report(workspace, "--csv").stdout)))
    kinds = [line["kind"] for line in lines]
    assert kinds.count("slice") == sum(len(row["slices"]) for row in data["rows"])
    assert kinds.count("published") + kinds.count("rerun") == len(data["published"]) > 0
    assert kinds.count("blind") == len({(row["task"], row["protocol"]) for row in data["rows"]})
    assert {line["task"] for line in lines if "1+1" in line["task"]} == {"'=1+1-negref"}
    negative = [line["difference"] for line in lines if line["difference"].startswith("-")]
    assert negative, "a negative number stays a number"


def test_plain_is_ascii(workspace: Workspace) -> None:
    text = report(workspace, "--plain", "--slices").stdout
    assert text.isascii()
    assert "\x1b" not in text
    assert "BY CUE" in text


def test_markdown_escapes_the_data(workspace: Workspace) -> None:
    text = report(workspace, "--md", "--slices").stdout
    assert "<" not in re.sub(r"\\.", "", text).replace("<0.0001", "")
    widths = [len(row) for row in cells_of_markdown(text)]
    heads = [at for at, row in enumerate(cells_of_markdown(text)) if "".join(row) and set("".join(row)) <= set("-:")]
    assert heads
    assert all(widths[at] == widths[at - 1] == widths[at + 1] for at in heads)


def test_html_has_no_script_no_link_and_no_hostile_markup(page: str) -> None:
    read = Page(page)
    assert not {"script", "img", "a", "link", "iframe", "object"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on") or name in ("src", "href")]
    assert "<script>alert(1)</script>" in read.text, "shown as text"
    assert not set(page) & {"\x1b", "\x07", "\u202e", "\u2066"}


def test_html_has_both_schemes_the_charts_and_a_mark_per_model(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    root, dark = re.findall(r":root\{(.*?)\}", page, re.DOTALL)
    assert [scheme.count(f"--c{number}:") for scheme in (root, dark) for number in range(COLOURS)] == [1] * 16
    titles = re.findall(r"<svg [^>]*role=\"img\" aria-label=\"([^\"]*)\"", page)
    assert "demo-negref beside demo-affirm, strict" in titles
    assert "cue: no (n = 10)" in titles
    assert len({mark(number) for number in range(56)}) == 56


def test_charts_tell_models_of_one_name_apart_by_hash(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    for at in (1, 2):
        stored = make_result(workspace, "demo-negref", "twin", [True, False] * 10)
        content = json.loads(stored.path.read_text())
        content["model"]["hash"] = f"{at}" * 64
        stored.path.write_text(json.dumps(content))
    page = html_report(gather(workspace, slices=True))
    charts = page.partition("<h2>Tables</h2>")[0]
    for name in ("twin #11111111", "twin #22222222"):
        assert charts.count(f">{name}<") > 1, "in the charts too, not only in the legend"
    assert ">twin<" not in page


def test_every_row_of_a_table_is_closed(page: str) -> None:
    assert page.count("<tr>") == page.count("</tr>") > 0


def test_slices_have_bars_with_intervals(workspace: Workspace) -> None:
    rows = [line.split() for line in report(workspace, "--plain", "--slices").stdout.splitlines()]
    cut = rows.index(["DEMO-NEGREF,", "STRICT,", "BY", "CUE"])
    tuned = next(row for row in rows[cut:] if row[:2] == ["no", "tuned"])
    assert tuned[2:6] == ["8/10", "80.0", "49.0-94.3", "#######=====O---"]
    console = Console(file=io.StringIO(), width=80)
    show(listings(gather(workspace, slices=True), slices=True), console=console)
    narrow = console.file.getvalue()  # type: ignore[attr-defined]
    assert "━━━━━━━═════●───" in narrow
    assert max(map(len, narrow.splitlines())) <= 80


def test_html_replaces_a_file_at_once(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")
    monkeypatch.setattr("workbench.reports.html.page.html_report", lambda *_: "\ud800")  # cannot be encoded
    assert report(workspace, "--html", str(path)).exit_code != 0
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_html_goes_to_standard_output(workspace: Workspace, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "workbench", "-w", str(workspace.root), "report", "--html"]
    into = tmp_path / "into.html"
    with into.open("wb") as file:
        ended = subprocess.run([*words, "/dev/stdout"], stdout=file, stderr=subprocess.PIPE, check=True)
    assert b" results" in ended.stderr
    page = report(workspace, "--html", "-").stdout
    for text in (into.read_text(encoding="utf-8"), page):
        assert text.startswith("<!DOCTYPE html>")
        assert text.rstrip().endswith("</html>")


def test_one_output_at_a_time_and_a_file_that_can_be_written(workspace: Workspace, tmp_path: Path) -> None:
    assert isinstance(report(workspace, "--md", "--csv").exception, UsageError)
    assert isinstance(report(workspace, "--html", str(tmp_path / "none" / "x.html")).exception, UsageError)
