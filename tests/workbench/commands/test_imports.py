"""Tests of `negwb import`: text output, JSON output, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.commands import import_command

from workbench.errors import ExitCode
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.settings import read_settings

Call = Callable[..., int]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path / "workspace")


@pytest.fixture
def call(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Call:
    return import_command(workspace, monkeypatch)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    path = tmp_path / "set.jsonl"
    rows = [{"image": "a.png", "caption": "a dog", "candidate": "no dog"}, {"image": "b.png", "caption": "a cat"}]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_an_import_prints_a_summary(call: Call, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(table) == ExitCode.OK
    output = capsys.readouterr()
    assert output.out == ""
    assert "as set: 2 images, 2 captions, 1 candidate" in output.err
    assert "columns: candidate = candidate, caption = caption, image = image" in output.err
    assert f"2 images not found: no image folder is set; add --pictures {table.parent}" in output.err
    assert call(table) == ExitCode.OK
    assert "nothing new" in capsys.readouterr().err


def test_the_image_folder_is_suggested_only_if_the_images_are_there(
    call: Call, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(json.dumps({"image": f"{'n' * 300}.png", "caption": "a dog"}))
    assert call(table) == ExitCode.OK
    assert "1 image not found: no image folder is set; add --pictures FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[]", '{"images": [], "annotations": []}'])
def test_a_file_without_rows_has_nothing_to_do(
    call: Call, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set.json").write_text(content)
    assert call(tmp_path / "set.json") == ExitCode.NOTHING_TO_DO
    assert "the file holds no rows" in capsys.readouterr().err


def test_a_folder_without_images_is_not_stored(
    call: Call, workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/one.json").write_text("{}")
    assert call(tmp_path / "sets") == ExitCode.USAGE
    output = capsys.readouterr().err
    assert "no image in" in output
    assert "import its files one by one: one.json" in output
    assert read_settings(workspace.settings).pictures == {}


def test_json_is_one_object_on_stdout(call: Call, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(table, "--json", "--source", "mine", "--generator", "gpt") == ExitCode.OK
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (data["source"], data["images"], data["candidates"], data["rejects"]) == ("mine", 2, 1, None)


def test_missing_pictures_are_listed(
    call: Call, table: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(table, "--pictures", table.parent) == ExitCode.UNEXPECTED
    assert "1 stored with a problem (1 missing-file)" in capsys.readouterr().err
    (listed,) = workspace.rejects.iterdir()
    assert [json.loads(line)["reason"] for line in listed.read_text().splitlines()] == ["missing-file"]
    assert read_settings(workspace.settings).pictures == {"set": ("..",)}
    # the folder is stored from here on
    assert call(table) == ExitCode.UNEXPECTED
    assert sorted(path.name for path in workspace.rejects.iterdir()) == ["set-1.jsonl", "set-2.jsonl"]


def test_an_imported_folder_is_its_own_image_folder(call: Call, workspace: Workspace, table: Path) -> None:
    (table.parent / "photos").mkdir()
    (table.parent / "a.png").rename(table.parent / "photos/a.png")
    assert call(table.parent / "photos") == ExitCode.OK
    assert read_settings(workspace.settings).pictures == {"photos": ("../photos",)}


def test_rejected_rows_end_with_1(
    call: Call, table: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(table.read_text() + "\n{\n")
    assert call(table) == ExitCode.UNEXPECTED
    assert "1 refused (1 malformed)" in capsys.readouterr().err
    data = json.loads((workspace.rejects / "set-1.jsonl").read_text())
    assert (data["where"], data["file"]) == ("line 3", str(table))


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope.json"],
        ["{table}", "--format", "folder"],
        ["{table}", "--format", "nope"],
        ["{table}", "--map", "image"],
        ["{table}", "--map", "image=nope"],
        ["{table}", "--pictures", "nope"],
        ["{table}", "--pictures", ".", "--map", "image=nope"],
        [sys.executable],
        ["/dev/null"],
    ],
)
def test_an_invalid_file_ends_with_2(
    call: Call, table: Path, workspace: Workspace, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = workspace.settings.read_text()
    assert call(*(each.format(table=table) for each in arguments)) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("negwb: ")
    assert workspace.settings.read_text() == before
    assert not workspace.rejects.exists()


def test_an_unreadable_file_ends_with_2(call: Call, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(table))

    monkeypatch.setattr("curation_db.importing.pipeline.detect", refuse)
    assert call(table) == ExitCode.USAGE


def test_a_damaged_record_ends_with_3(call: Call, table: Path, workspace: Workspace) -> None:
    workspace.database.write_bytes(b"not a database, certainly not one of ours")
    assert call(table) == ExitCode.DATABASE


def test_an_interrupt_prints_how_to_continue(
    call: Call, table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("curation_db.importing.pipeline.import_rows", interrupt)
    assert call(table) == ExitCode.INTERRUPTED
    assert "the same command continues from there" in capsys.readouterr().err


def test_help_has_examples_and_imports_nothing_heavy(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == ExitCode.OK
    assert "negwb import captions_train2014.json" in capsys.readouterr().out
    heavy = (
        "import sys, workbench.commands.imports; print([m for m in ('PIL', 'sqlalchemy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def vqa(tmp_path: Path) -> Path:
    """VQAv2 questions without their answers."""
    answers = [{"answer": "no", "answer_id": n} for n in range(10)]
    ids = {"question_id": 9000, "image_id": 9}
    annotations = [{**ids, "question_type": "is the", "multiple_choice_answer": "no", "answers": answers}]
    (tmp_path / "answers.json").write_text(json.dumps({"annotations": annotations}))
    path = tmp_path / "v2_OpenEnded_mscoco_train2014_questions.json"
    path.write_text(json.dumps({"data_subtype": "train2014", "questions": [{**ids, "question": "Is the man old?"}]}))
    return path


def test_vqa_needs_its_answers(call: Call, vqa: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(vqa) == ExitCode.USAGE
    output = capsys.readouterr().err
    assert "has no answers" in output
    assert "--annotations FILE" in output
    assert call(vqa, "--annotations", vqa.with_name("answers.json"), "--json") == ExitCode.OK
    data = json.loads(capsys.readouterr().out)
    assert (data["questions"], data["images"], data["format"]) == (1, 1, "vqa")
    vqa.with_name("answers.json").rename(vqa.with_name("v2_mscoco_train2014_annotations.json"))
    assert call(vqa) == ExitCode.OK, "found beside it"
    assert "nothing new; 1 already stored" in capsys.readouterr().err


def test_invalid_answers_are_listed_with_their_file(
    call: Call, workspace: Workspace, vqa: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = vqa.with_name("answers.json")
    data = json.loads(other.read_text())
    other.write_text(json.dumps({"annotations": [*data["annotations"], {"question_id": 5}]}))
    assert call(vqa, "--annotations", other) == ExitCode.UNEXPECTED
    (listed,) = workspace.rejects.glob("*.jsonl")
    (line,) = map(json.loads, listed.read_text().splitlines())
    assert (line["file"], line["where"], line["reason"]) == ("answers.json", "annotations[1]", "no-field")


def test_a_table_without_a_header_is_reported_and_imported(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gcc.tsv"
    path.write_text("a very typical bus station\thttp://example.org/a.jpg\n")
    assert call(path) == ExitCode.USAGE
    output = capsys.readouterr().err
    assert "seems to have no header" in output
    assert "--no-header --map caption=1 --map image=2" in output
    assert call(path, "--no-header", "--map", "caption=1", "--map", "image=2") == ExitCode.OK
    assert "1 image, 1 caption" in capsys.readouterr().err


def test_an_unused_known_column_is_reported_in_one_line(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "two.csv"
    path.write_text("image,caption,title,foil\na.jpg,a dog,Dog,no dog\n")
    assert call(path) == ExitCode.OK
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "title" in line]
    assert line.strip().endswith("not used: title (use it: --map caption=title)")
