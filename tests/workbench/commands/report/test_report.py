"""Tests of `negwb report`: tables, JSON and refusals."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.benches import ConstantModel, TinyModel, draw_picture
from support.results import make_result, make_run
from typer.testing import CliRunner

from benchmarks.analysis.comparison import compare
from benchmarks.registry import task_from_file
from benchmarks.results import list_results
from benchmarks.runner import run_task
from curation_db.stats.intervals import Interval
from trainers.run_files import DONE, RunWriter
from workbench.cli import app
from workbench.commands.report import gather
from workbench.console.number_format import count, p_value, percent, signed, signed_span, span
from workbench.console.tables import Listing, fit, middle_cut, show
from workbench.errors import NothingToDo, UsageError
from workbench.reports.benchmark_report import alike_lines, as_json, listings
from workbench.workspace.create import create_workspace, settings_template
from workbench.workspace.layout import Workspace
from workbench.workspace.models import run_bases

PHRASES = ("a man with no hat", "no dog on the grass", "a bench without anybody", "a cat that is not red")


def make_task(folder: Path, name: str, items: int = 24) -> Any:
    folder.mkdir(exist_ok=True)
    rows = []
    for number in range(items):
        draw_picture(folder / f"{number}.jpg", (64, 40), number)
        boxes = [[0, 0, 30, 30], [30, 0, 34, 40]]
        rows.append({"image": f"{number}.jpg", "phrase": PHRASES[number % 4], "ref_bbox": boxes[0], "bbox_list": boxes})
    (folder / f"{name}.json").write_text(json.dumps(rows))
    return task_from_file(name, folder / f"{name}.json", folder)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Results of three models on demo-negref, two on demo-affirm, one on negrefcocog."""
    created = Workspace(tmp_path_factory.mktemp("report") / "ws")
    created.root.mkdir()
    created.settings.write_text(settings_template())
    models = {"base": TinyModel(1), "tuned": TinyModel(1, text_seed=2), "constant": ConstantModel(3)}
    for name, who in (("demo-negref", models), ("demo-affirm", ["base", "tuned"]), ("negrefcocog", ["base"])):
        task = make_task(created.root / "data", name)
        for label in who:
            run_task(models[label], task, results_folder=created.root / "results", label=label)
    return created


def report(workspace: Workspace, *words: str) -> Any:
    return CliRunner().invoke(app, ["-w", str(workspace.root), "report", *words])


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines below each title."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    return {block[0]: block[1:] for block in blocks}


def test_models_are_compared_with_the_base_and_blind_baselines(workspace: Workspace) -> None:
    output = sections(report(workspace).stdout)
    (title,) = [title for title in output if title.startswith("DEMO-NEGREF")]
    assert "N = 24, CHANCE 50.0 %" in title
    header, *lines = output[title]
    assert header.split() == [
        *["rule", "model", "right", "%", "95", "%", "vs", "ref", "95", "%", "p", "affirm", "%"],
        *["affirm", "loss", "undecided"],
    ]
    assert [line.split()[:2] for line in lines[:3]] == [["strict", "base"], ["strict", "tuned"], ["strict", "constant"]]
    assert lines[2].split()[2:4] == ["0/24", "0.0"], "ties are wrong under strict"
    assert any(line.startswith("strict    blind: smaller box") for line in lines)
    constant = next(line for line in lines if line.split()[:2] == ["official", "constant"])
    assert "24/24  100.0" in constant
    assert constant.endswith(" 24 equal"), "why all are right stands in the same line"
    assert any("constant scores: equal in all 24 items; 24 of them count as right" in line for line in output["NOTES"])
    differ = output["WHERE STRICT AND OFFICIAL DIFFER, AND ON HOW MANY ITEMS"]
    assert any(line.split()[:5] == ["demo-negref", "constant", "0.0", "100.0", "24"] for line in differ)


def test_denied_phrases_are_reported_with_affirmed_ones(workspace: Workspace) -> None:
    rows = json.loads(report(workspace, "--json").stdout)["rows"]
    affirm = {(r["model"], r["protocol"]): r["accuracy"]["estimate"] for r in rows if r["task"] == "demo-affirm"}
    negref = [row for row in rows if row["task"] == "demo-negref"]
    assert [(row["affirmative"] or {}).get("accuracy", {}).get("estimate") for row in negref] == [
        affirm.get((row["model"], row["protocol"])) for row in negref
    ]
    text = report(workspace).stdout
    lost = round(100 * (affirm["base", "strict"] - affirm["tuned", "strict"]), 1)
    header, *lines = next(block for title, block in sections(text).items() if title.startswith("DEMO-NEGREF"))
    at = header.index("affirm loss")
    shown = {tuple(line.split()[:2]): line[at : at + len("affirm loss")].strip() for line in lines}
    assert shown["strict", "tuned"] == f"{lost:.1f}"
    assert shown["strict", "base"] == shown["strict", "constant"] == ""
    against = next(row for row in negref if row["model"] == "tuned")["affirmative"]["base"]
    assert against["difference"]["estimate"] == pytest.approx(-lost / 100, abs=6e-4)
    assert "not run" in next(line for line in text.splitlines() if line.startswith("strict    constant"))
    by_cue = sections(report(workspace, "--slices").stdout)["DEMO-NEGREF, STRICT, BY CUE"]
    assert by_cue[0].endswith("affirm % (all)")
    assert {line.split()[0] for line in by_cue[1:]} == {"no", "without", "not"}


def test_negrefcocog_has_no_twin_and_advises_another_task(workspace: Workspace) -> None:
    rows = json.loads(report(workspace, "--json").stdout)["rows"]
    data = {(row["task"], row["model"]): row["affirmative"] for row in rows if row["protocol"] == "strict"}
    assert data["negrefcocog", "base"] == {"task": None, "state": "no twin"}
    assert data["demo-negref", "constant"] == {"task": "demo-affirm", "state": "not run"}
    assert data["demo-negref", "tuned"]["state"] == "measured"
    assert data["demo-affirm", "tuned"] is None
    output = sections(report(workspace).stdout)
    (title,) = [title for title in output if title.startswith("NEGREFCOCOG")]
    assert [line.split()[-2:] for line in output[title] if line.split()[1] == "base"] == [["no", "twin"]] * 2
    notes = output["NOTES"]
    assert sum("no affirmative twin" in line for line in notes) == 1


def test_blind_guesses_without_a_cue_score_at_chance(tmp_path: Path) -> None:
    boxes = [[0, 0, 30, 40], [32, 0, 30, 40]]
    task = make_task(tmp_path / "data", "alike")
    rows = json.loads((tmp_path / "data" / "alike.json").read_text())
    path = tmp_path / "data" / "alike.json"
    path.write_text(json.dumps([{**row, "bbox_list": boxes, "ref_bbox": boxes[0]} for row in rows]))
    run_task(TinyModel(1), task_from_file(task.name, path, task.pictures), results_folder=tmp_path / "results")
    tables = listings(compare(tmp_path / "results", resamples=50))
    blind = [row for row in tables[0].rows if row[1] == "blind: smaller box"]
    assert [row[2:4] for row in blind] == [("12/24", "50.0")] * 2
    (note,) = [row for listing in tables for row in listing.rows if "counts 1/k" in row[-1]]
    assert "smaller box, narrower box on all items" in note[-1]


def test_few_differing_items_have_a_note_on_the_interval(workspace: Workspace) -> None:
    rows = compare(workspace.root / "results", resamples=50).rows
    few = [row for row in rows if row.base and row.base.has_few_discordant]
    notes = [row for each in listings(compare(workspace.root / "results", resamples=50)) for row in each.rows]
    assert any("Newcombe" in row[-1] for row in notes) is bool(few)


def test_a_twin_that_was_not_run_is_reported(tmp_path: Path) -> None:
    task = make_task(tmp_path / "data", "my-negref")
    run_task(TinyModel(1), task, results_folder=tmp_path / "results")
    tables = {listing.title: listing for listing in listings(compare(tmp_path / "results", resamples=50))}
    assert any("my-affirm was not run" in row[-1] for row in tables["Notes"].rows)


def test_published_results_are_in_their_own_table_with_their_source(workspace: Workspace) -> None:
    output = sections(report(workspace).stdout)
    header, *rows = output["PUBLISHED BY OTHERS, IN PERCENT, NOT PAIRED WITH THE RESULTS HERE"]
    assert header.split() == ["task", "model", "arch", "n", "published", "95", "%", "rerun", "95", "%", "source"]
    (negationclip,) = [row.split() for row in rows if " NegationCLIP  " in row and "B/32" in row]
    assert negationclip[2:] == ["ViT-B/32", "440", "64.1", "59.5–68.4", "63.4", "58.8–67.8", "1,", "2"]
    source = output["SOURCES OF THE PUBLISHED FIGURES"]
    assert "arXiv 2501.10913" in source[0] or "arXiv 2501.10913" in source[1]
    missed = output["WHERE A PAPER'S OWN CHECKPOINT MISSES ITS FIGURE"]
    assert [row.split()[3:] for row in missed[1:]] == [["rerun,", "source", "2", "440", "64.1", "63.4", "-3"]]
    assert not any(line.endswith("…") for line in source)


def test_the_same_weights_measured_here_have_a_column_beside_published_figures(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    for name, right in (("/models/negationclip_ViT-B32.pth", 270), ("ViT-B-32:openai", 254)):
        make_result(workspace, "negrefcocog", name, [at < right for at in range(440)], protocol="official")
    output = sections(report(workspace).stdout)
    header, *rows = output["PUBLISHED BY OTHERS, IN PERCENT, NOT PAIRED WITH THE RESULTS HERE"]
    assert header.split()[-6:] == ["95", "%", "measured", "95", "%", "source"]
    lines = {tuple(row.split()[1:3]): row.split()[-4:-2] for row in rows}
    assert lines["NegationCLIP", "ViT-B/32"] == ["61.4", "56.7–65.8"]
    assert lines["CLIP", "ViT-B/32"] == ["57.7", "53.1–62.3"]
    missed = output["WHERE A PAPER'S OWN CHECKPOINT MISSES ITS FIGURE"]
    assert missed[-1].split()[-6:] == ["measured", "here", "440", "64.1", "61.4", "-12"]
    found = json.loads(report(workspace, "--json").stdout)["published_misses"]
    assert [each["items"] for each in found] == [3, 12]


def test_json_has_all_of_it(workspace: Workspace) -> None:
    result = report(workspace, "--json")
    assert result.stdout.count("\n") == 1
    data = json.loads(result.stdout)
    row = next(row for row in data["rows"] if (row["task"], row["model"]) == ("demo-negref", "tuned"))
    assert (row["protocol"], row["n"], row["is_reference"]) == ("strict", 24, False)
    paired = row["base"]
    assert paired["difference"]["low"] <= paired["difference"]["estimate"] <= paired["difference"]["high"]
    assert paired["gained"] - paired["lost"] == round(24 * paired["difference"]["estimate"])
    assert {part["cut"] for part in row["slices"]} >= {"cue", "position", "length"}
    assert data["reference"] == "base"
    assert as_json(compare(workspace.root / "results", resamples=50)).keys() == data.keys()


def result_of(workspace: Workspace, name: str, right: list[bool], **changes: Any) -> None:
    """Write a result of the model `name` with other values of its hash, device, precision or task version."""
    stored = make_result(workspace, "t-affirm", name, right)
    content = json.loads(stored.path.read_text())
    content["task"]["version"] = changes.pop("version", "1")
    content["model"] |= changes
    stored.path.write_text(json.dumps(content))


def test_models_of_one_name_are_distinguished_by_their_hash_in_every_table(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    result_of(workspace, "same", [True] * 20)
    result_of(workspace, "same", [False] * 20, hash="f" * 64)
    result_of(workspace, "other", [False] * 20)
    models = {row[1] for listing in listings(gather(workspace)) for row in listing.rows if len(row) > 2}
    assert {name for name in models if name.startswith("same #")} >= {"same #ffffffff"}
    assert not any(name == "same" or name.startswith("same (") for name in models)
    assert {row["model"] for row in json.loads(report(workspace, "--json").stdout)["rows"]} == {
        row.model for row in gather(workspace).rows
    }


def test_results_of_two_versions_of_a_task_are_not_compared(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    result_of(workspace, "base", [False] * 20)
    result_of(workspace, "tuned", [True] * 20, version="2")
    rows = gather(workspace).rows
    assert [(row.model, row.version, row.base) for row in rows] == [("base", "1", None), ("tuned", "2", None)]
    tables = listings(gather(workspace))
    assert [table.title.rpartition(", ")[2] for table in tables[:2]] == [f"version {n} of the task" for n in (1, 2)]
    assert any("versions 1, 2 of the task, which are not compared" in row[-1] for row in tables[2].rows)


def test_another_device_or_precision_than_that_of_the_base_has_a_note(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    result_of(workspace, "base", [False] * 20)
    result_of(workspace, "tuned", [True] * 20, device="cuda:0", precision="fp16")
    result_of(workspace, "third", [True] * 20)
    notes = [row for table in listings(gather(workspace)) if table.title == "Notes" for row in table.rows]
    assert [row[1] for row in notes if row[2] == "measured in fp16 on cuda, base in fp32 on cpu"] == ["tuned"]


def test_correction_and_disagreement_are_printed(tmp_path: Path) -> None:
    """Of 20 items the model gains 5 and loses none: p is 0.0625, and the interval excludes 0."""
    workspace = create_workspace(tmp_path / "ws")
    result_of(workspace, "base", [False] * 30)
    result_of(workspace, "tuned", [at < 5 for at in range(30)])
    result_of(workspace, "better", [at < 12 for at in range(30)])
    rows = {row.model: row for row in gather(workspace).rows}
    text = report(workspace).stdout
    assert "corrected for all comparisons of the report under one rule (Holm)" in text
    assert ("McNemar's test disagree" in text) is any(row.base.interval_disagrees for row in rows.values() if row.base)
    assert p_value(rows["better"].base.p_holm) in next(line for line in text.splitlines() if " better " in line)


def test_models_trained_on_images_of_the_benchmark_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    result_of(workspace, "base", [False] * 20)
    result_of(workspace, "tuned", [True] * 20)
    (path,) = (each for each in (workspace.root / "results").glob("*.json") if '"tuned"' in each.read_text())
    content = json.loads(path.read_text())
    overlap = {"runs": ["tuned"], "training_images": 9, "images": 3, "by_id": 2, "by_content": 3, "items": 4}
    path.write_text(json.dumps(content | {"overlap": overlap}))
    text = "trained on 3 of its 20 images (2 by id, 3 by content), in 4 items: tuned"

    refused = sections(report(workspace).stdout)
    (title,) = [title for title in refused if title.startswith("T-AFFIRM")]
    assert not any(" tuned " in line for line in refused[title])
    left_out = refused["LEFT OUT: TRAINED ON IMAGES OF THE BENCHMARK (--ALLOW-OVERLAP SHOWS THEM)"]
    assert left_out[1].split() == ["t-affirm", "tuned", *text.split()]
    data = json.loads(report(workspace, "--json").stdout)
    assert [row["model"] for row in data["rows"]] == ["base"]
    assert [(each["model"], each["overlap"]) for each in data["left_out"]] == [("tuned", overlap)]

    allowed = sections(report(workspace, "--allow-overlap").stdout)
    assert any(" tuned " in line for line in allowed[title])
    assert any(line.endswith(text) for line in allowed["NOTES"])
    assert not any(name.startswith("LEFT OUT") for name in allowed)


def test_images_that_only_look_like_training_images_are_a_note_and_leave_no_model_out(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    stored = make_result(workspace, "t-affirm", "tuned", [True] * 20)
    overlap = {"runs": ["r"], "training_images": 9, "images": 0, "by_id": 0, "by_content": 0, "items": 0}
    overlap |= {"alike": 2, "alike_items": 3}
    stored.path.write_text(json.dumps(json.loads(stored.path.read_text()) | {"overlap": overlap}))
    shown = sections(report(workspace).stdout)
    assert not any(name.startswith("LEFT OUT") for name in shown)
    note = "2 of its 20 images look like training images in another size or encoding, in 3 items"
    assert any(line.endswith(note) for line in shown["NOTES"])
    assert alike_lines(list_results(workspace.root / "results").results) == [f"tuned on t-affirm: {note}"]
    stored.path.write_text(json.dumps(json.loads(stored.path.read_text()) | {"overlap": overlap | {"alike": 21}}))
    assert not list_results(workspace.root / "results").results


def test_texts_that_are_cut_at_the_token_limit_have_a_note(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    stored = make_result(workspace, "t-affirm", "short", [True] * 20)
    texts = {"limit": 32, "tokenizer": "clip", "texts": 20, "cut": 5, "cut_negations": 2}
    stored.path.write_text(json.dumps(json.loads(stored.path.read_text()) | {"texts": texts}))
    notes = sections(report(workspace).stdout)["NOTES"]
    note = "5 of 20 texts are cut at the limit of 32 tokens (clip); 2 of them lose a negation"
    assert any(line.split()[:2] == ["t-affirm", "all"] and line.endswith(note) for line in notes)
    (row,) = json.loads(report(workspace, "--json").stdout)["rows"]
    assert row["texts"] == texts


class TestReference:
    """Whether the model that the others are compared with is the base of a run."""

    def workspace(self, folder: Path, base: str, *, measured: str = "base") -> Workspace:
        workspace = create_workspace(folder / "ws")
        stored = {
            name: make_result(workspace, "t-affirm", name, [name == "tuned"] * 20) for name in (measured, "tuned")
        }
        hashes = {name: each.result["model"]["hash"] for name, each in stored.items()} | {"absent": "f" * 64}
        result = {"base": {"model_hash": hashes[base]}, "model": {"model_hash": hashes["tuned"]}}
        run = make_run(workspace, "run-001", done=False)
        RunWriter(run).end(DONE, result)
        return workspace

    def test_the_base_of_a_run_is_called_base(self, tmp_path: Path) -> None:
        compared = gather(self.workspace(tmp_path, "base"))
        assert [(row.model, row.is_base, row.against) for row in compared.rows] == [
            ("base", True, "base"),
            ("tuned", False, "base"),
        ]
        assert compared.reference_note == ""
        assert "vs base" in listings(compared)[0].headers

    def test_a_base_that_was_not_measured_is_stated(self, tmp_path: Path) -> None:
        workspace = self.workspace(tmp_path, "absent", measured="old")
        compared = gather(workspace)
        assert [(row.model, row.is_base, row.is_reference) for row in compared.rows] == [
            ("old", False, True),
            ("tuned", False, False),
        ]
        assert compared.reference_note == (
            "compared with old, the model that was evaluated first: "
            "the base of the newest run, #ffffffff, was not measured"
        )
        assert "its base, #ffffffff, was not measured" in compared.rows[1].notes
        table = listings(compared)[0]
        assert "vs ref" in table.headers
        assert "old (reference)" in {row[1] for row in table.rows}
        text = report(workspace).stdout
        assert "the base of the newest run, #ffffffff, was not measured" in text
        assert "vs base" not in text
        assert json.loads(report(workspace, "--json").stdout)["reference_note"] == compared.reference_note

    def test_the_base_of_a_run_on_a_run_is_where_the_first_one_began(self, tmp_path: Path) -> None:
        workspace = self.workspace(tmp_path, "base")
        further = make_result(workspace, "t-affirm", "further", [True] * 20).result["model"]["hash"]
        tuned, base = (row.model_hash for row in gather(workspace, base="tuned").rows if row.model in {"tuned", "base"})
        result = {"base": {"model_hash": tuned}, "model": {"model_hash": further}}
        RunWriter(make_run(workspace, "run-002", done=False)).end(DONE, result)
        assert run_bases(workspace) == {tuned: base, further: base}

    def test_a_run_of_another_base_than_the_reference_is_named(self, tmp_path: Path) -> None:
        workspace = self.workspace(tmp_path, "base")
        make_result(workspace, "t-affirm", "third", [False] * 20)
        compared = gather(workspace, base="third")
        assert compared.reference_note == "compared with third, as requested, which is not the base of a run"
        tuned = next(row for row in compared.rows if row.model == "tuned")
        assert "its base is base, not the model that it is compared with" in tuned.notes


def test_another_base(workspace: Workspace) -> None:
    rows = json.loads(report(workspace, "--base", "tuned", "--json").stdout)["rows"]
    assert {row["model"] for row in rows if row["is_reference"]} == {"tuned"}
    refused = report(workspace, "--base", "nobody").exception
    assert isinstance(refused, UsageError)
    assert "measured: base, constant, tuned" in refused.hint


def test_without_results(tmp_path: Path) -> None:
    (tmp_path / "negwb.toml").write_text(settings_template())
    assert isinstance(report(Workspace(tmp_path)).exception, NothingToDo)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "x.json").write_text("{}")
    created = report(Workspace(tmp_path))
    assert isinstance(created.exception, NothingToDo)
    assert "x.json is not a result of negwb" in created.stderr


def test_the_screen_needs_a_terminal(workspace: Workspace) -> None:
    assert isinstance(report(workspace, "--screen").exception, UsageError)


HOSTILE = "\x1b]0;owned\x07\u202eevil\nx"


def test_markup_in_titles_and_headers_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    listing = Listing(HOSTILE, (HOSTILE, "n"), [(HOSTILE, "1")])
    show([listing])
    out = capsys.readouterr().out
    console = Console(file=io.StringIO(), width=60, force_terminal=True)
    show([listing], console=console)
    for text in (out, console.file.getvalue()):  # type: ignore[attr-defined]
        assert not {"\x07", "\u202e"} & set(text)
        assert "\x1b]" not in text
        assert text.lower().count("]0;ownedevil x") == 3


def test_control_characters_of_a_task_reach_no_terminal(tmp_path: Path) -> None:
    (tmp_path / "negwb.toml").write_text(settings_template())
    make_result(Workspace(tmp_path), f"x{HOSTILE}-negref", HOSTILE, [True, False])
    for words in ([], ["--slices"]):
        created = report(Workspace(tmp_path), *words)
        assert not {"\x1b", "\x07", "\u202e"} & set(created.stdout + created.stderr)


def printed(workspace: Workspace, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    show(listings(compare(workspace.root / "results", resamples=50), slices=True), console=console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_figure_is_truncated_in_a_terminal(workspace: Workspace, width: int) -> None:
    lines = printed(workspace, width)
    assert max(map(len, lines)) <= width
    plain = report(workspace, "--slices").stdout
    figures = r"\d+/\d+ +\d+\.\d +\d+\.\d–\d+\.\d( +[+-]\d+\.\d)?"
    wanted = {" ".join(item.group().split()) for item in re.finditer(figures, plain)}
    text = [" ".join(line.split()) for line in lines]
    assert [each for each in wanted if not any(each in line for line in text)] == []
    intervals = re.findall(r"[+-]\d+\.\d…[+-]\d+\.\d", "\n".join(text))
    assert intervals, "the interval of the difference goes last"
    assert ("too narrow: p" in "\n".join(lines)) is (width == 80)
    for name in ("tuned", "constant", "blind: smaller box", "not run", "no twin"):
        assert any(name in line for line in lines)


def test_names_are_shortened_only_after_columns_are_omitted() -> None:
    name = "a-very-long-name-of-a-model-that-nobody-would-type-twice-run-0042"
    listing = Listing("t", ("model", "right", "p"), [(name, "1/2", "0.50")], dispensable=[(2, "p")])
    assert fit(listing, 100) == (listing, [])
    fitted, left_out = fit(listing, 30)
    assert left_out == ["p"]
    assert fitted.headers == ("model", "right")
    (row,) = fitted.rows
    assert row[1] == "1/2"
    assert row[0].startswith("a-very")
    assert row[0].endswith("run-0042")
    assert middle_cut("文字文字文字", 7) == "文…文字" or len(middle_cut("文字文字文字", 7)) <= 7


def test_the_screen_opens_with_the_given_base(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []
    monkeypatch.setattr("workbench.console.terminal_check.at_a_terminal", lambda: True)
    monkeypatch.setattr("workbench.tui.results.app.run_results", lambda *_, **options: opened.append(options) or 0)
    assert report(workspace, "--screen", "--base", "tuned").exit_code == 0
    assert opened == [{"start": "report", "base": "tuned"}]
    assert isinstance(report(workspace, "--screen", "--base", "nobody").exception, UsageError)
    assert len(opened) == 1


def test_markup_in_names_is_plain_text(tmp_path: Path) -> None:
    task = make_task(tmp_path / "data", "t", items=4)
    (tmp_path / "negwb.toml").write_text(settings_template())
    run_task(TinyModel(1), task, results_folder=tmp_path / "results", label="[red]\x1b[31mx\nsecond")
    created = report(Workspace(tmp_path)).stdout
    assert "\x1b" not in created
    assert "[red][31mx second" in created


def test_figures() -> None:
    assert (percent(0.5727), percent(float("nan")), signed(0.0), signed(-0.1)) == ("57.3", "–", "+0.0", "-10.0")
    interval = Interval(0.5, 0.4, 0.606)
    assert (span(interval), signed_span(Interval(0, -0.012, 0.002))) == ("40.0–60.6", "-1.2…+0.2")
    assert (count(1600.0), count(226.5), count(3)) == ("1,600", "226.5", "3")
    assert [p_value(p) for p in (0.00001, 0.0123, 0.5, 1.0)] == ["<0.0001", "0.0123", "0.50", "1.00"]


def test_the_default_base_is_the_base_of_the_newest_run(tmp_path: Path) -> None:
    """Two models; the tuned one was evaluated first, and its run names its base."""
    workspace = create_workspace(tmp_path / "ws")
    make_result(workspace, "demo-negref", "a", [True, False, True])
    make_result(workspace, "demo-negref", "begun-with", [False, False, True])
    assert gather(workspace).reference == "a"
    run = make_run(workspace, "run-001", done=False, model="/models/begun-with")
    base = next(row for row in gather(workspace).rows if row.model == "begun-with")
    RunWriter(run).end(DONE, {"steps": 40, "base": {"model_hash": base.model_hash}})
    assert gather(workspace).reference == "begun-with"
    assert gather(workspace, base="a").reference == "a"
