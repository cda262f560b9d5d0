"""`negwb export-verify` of what `negwb export-as` wrote: hashes, counts, and rows against the export."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from support.clip_models import draw_pictures
from support.commands import negwb

from curation_db.exporting.manifest import ExportItem, Manifest, ManifestCounts, file_facts, hash_of
from workbench.errors import ExitCode, UsageError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

OTHER = "it comes from another export than other"
FORMATS = ("csv", "webdataset", "parquet", "imagefolder")
REJECTED: dict[str, Any] = {"state": "rejected", "reasons": ("present",)}
TEXTS = ("a dog with no hat", "a dog with no hat", 'a "dog",\twith no\nhat\r \ud800', "null", "a dog without a hat")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Ten pairs of five images and one of a missing image; two rejected ones, of which one is of no use."""
    created = create_workspace(tmp_path_factory.mktemp("derived") / "ws")
    created.settings.write_text('[pictures]\nsmall = ["pictures"]\n')
    names = [path.name for path in draw_pictures(created.root / "pictures", 5)] + ["missing.jpg"]
    items = [
        ExportItem(
            key=f"k{n}", source="small", image_key=str(n // 2), file_name=names[n // 2], text=TEXTS[n % 5],
            caption="a dog", concept="hat", **({"state": "rejected", "reasons": ("scope",)} if n == 9 else {}),
            **(REJECTED if n == 4 else {}),
        )
        for n in range(11)
    ]  # fmt: skip
    freeze(created.exports / "set", items)
    for name in FORMATS:
        done = negwb(created, "export-as", name, "set", "--hard-negatives", "--split", "train=0.6,val=0.4")
        assert (done.exit_code, type(done.exception)) == (1, SystemExit), done.exception  # an image is missing
    return created


def freeze(folder: Path, items: list[ExportItem]) -> None:
    folder.mkdir(parents=True)
    (folder / "items.jsonl").write_text("".join(item.to_line() for item in items))
    files = {"items.jsonl": file_facts(folder / "items.jsonl")}
    counts = ManifestCounts(pairs=len(items))
    manifest = Manifest(
        name="", tool_version="0", event_seq=1, selection={}, counts=counts, files=files, export_sha256=hash_of(files)
    )
    (folder / "manifest.json").write_text(manifest.to_text())


def verified(workspace: Workspace, *words: object) -> tuple[int, list[str]]:
    done = negwb(workspace, "export-verify", *words, "--json")
    return done.exit_code, json.loads(done.stdout)["problems"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_set_as_written_has_the_pairs_of_its_export(workspace: Workspace, name: str) -> None:
    done = negwb(workspace, "export-verify", f"set-{name}", "--json")
    facts = json.loads(done.stdout)
    assert (done.exit_code, facts["problems"], facts["format"], facts["pairs"]) == (0, [], name, 9)
    assert Path(facts["export"]).name == "set"
    lines = negwb(workspace, "export-verify", f"set-{name}").stdout
    assert "as written; 9 pairs of the export set" in lines


@pytest.fixture
def copied(workspace: Workspace, tmp_path: Path) -> Callable[[str], Path]:
    """Copy a derived set to a writable folder."""

    def copy(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(workspace.root / "derived" / f"set-{name}", folder)
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        return folder

    return copy


def rewrite(folder: Path, **changes: Any) -> None:
    """Write the hashes of the files as they are now into the manifest, as a set with other rows would have them."""
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {name: file_facts(folder / name) for name in manifest["files"]}
    manifest |= {"files": {name: asdict(facts) for name, facts in files.items()}, "sha256": hash_of(files), **changes}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", FORMATS)
def test_a_changed_a_missing_and_an_added_file_are_found(
    workspace: Workspace, copied: Callable[[str], Path], name: str
) -> None:
    folder = copied(name)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    largest = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[-3] ^= 1
    largest.write_bytes(content)
    (folder / "more.txt").touch()
    (folder / "skipped_images.jsonl").unlink()
    code, problems = verified(workspace, folder)
    assert code == ExitCode.FAILED
    where = largest.relative_to(folder).as_posix()
    assert f"{where}: its content was changed" in problems
    assert "more.txt: not in the manifest" in problems
    assert any(problem.startswith("skipped_images.jsonl: No such file") for problem in problems)


def test_rows_that_the_export_does_not_give_are_found(workspace: Workspace, copied: Callable[[str], Path]) -> None:
    """GIVEN a set whose hashes are right WHEN its rows are not those of the export THEN each is named."""
    folder = copied("imagefolder")
    path = next(each for each in folder.rglob("metadata.jsonl") if "k0" in each.read_text())
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    changed = [rows[0] | {"text": "a dog with a hat"}, rows[1] | {"key": "k99"}, *rows[2:], rows[-1]]
    changed[2] = rows[2] | {"negative": "a cat"}
    path.write_text("".join(json.dumps(row) + "\n" for row in changed))
    rewrite(folder)
    code, problems = verified(workspace, folder)
    assert code == ExitCode.FAILED
    assert f"split {path.parent.name}: {len(rows) + 1} rows instead of {len(rows)}" in problems
    assert f"{rows[0]['key']!r}: another text than in the export" in problems
    assert f"{rows[2]['key']!r}: another text than in the export" in problems
    assert "'k99': no pair of the export, or twice" in problems
    assert f"{rows[-1]['key']!r}: no pair of the export, or twice" in problems
    assert any("rows and 2 left out, of 11 pairs of the export" in problem for problem in problems)

    table = copied("csv")
    split = next(each for each in table.glob("*.csv") if "no hat" in each.read_text())
    split.write_text(split.read_text().replace("no hat", "no cap", 1))
    rewrite(table)
    assert verified(workspace, table)[1][0].endswith("no text of the export, or too often")


def test_a_set_of_another_or_no_export(workspace: Workspace, copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied("csv")
    freeze(tmp_path / "other", [ExportItem(key="k", source="s", image_key="1", text="no dog")])
    assert verified(workspace, folder, "--export", tmp_path / "other") == (
        6,
        ["it comes from another export than other"],
    )
    rewrite(folder, export_sha256="0" * 64)
    done = negwb(workspace, "export-verify", folder)
    assert (done.exit_code, "the export is not here" in done.stdout) == (0, True)
    assert isinstance(negwb(workspace, "export-verify", folder, "--export", "none").exception, UsageError)


@pytest.mark.parametrize("name", ["../other.txt", "/etc/hostname", "train/../../x", ""])
def test_a_hostile_manifest_reads_nothing_outside(
    workspace: Workspace, copied: Callable[[str], Path], name: str
) -> None:
    folder = copied("csv")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] |= {name: {"sha256": "0" * 64, "bytes": 1}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert f"{name!r}: a file outside the folder" in verified(workspace, folder)[1]
    (folder / "manifest.json").write_text('{"data_format": "csv", "counts": 3}')
    code, problems = verified(workspace, folder)
    assert (code, "is damaged" in problems[0]) == (6, True)


def test_a_link_is_no_file_of_the_set(workspace: Workspace, copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied("csv")
    (folder / "train.csv").rename(tmp_path / "train.csv")
    (folder / "train.csv").symlink_to(tmp_path / "train.csv")
    assert "train.csv: a link" in verified(workspace, folder)[1]
