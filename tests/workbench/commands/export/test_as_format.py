"""`negwb export-as`: each format is read back by the program that it is for."""

from __future__ import annotations

import csv
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.commands import negwb

from curation_db.exporting.manifest import ExportItem, FileFacts, Manifest, ManifestCounts, file_facts, hash_of
from workbench.errors import NothingToDo, UsageError
from workbench.reports.exports.gate import GateFailed
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

# The readers of other programs leave files open.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:This DataLoader:UserWarning"
)
HARD_TEXT = 'a "quoted" dog,\twithout a\nhat; it\'s not a cat\r, no […] \u2028 猫'
NO_HAT = "a dog without a hat"


def pair(number: int, image: int | str, text: str, **more: Any) -> ExportItem:
    name = f"{image}.jpg" if isinstance(image, int) else image
    values: dict[str, Any] = {"caption": "a dog", "concept": "hat", "negation_type": "absence"}
    return ExportItem(
        key=f"k{number}", source="coco", image_key=str(image), file_name=name, text=text, **{**values, **more}
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = create_workspace(tmp_path / "ws")
    workspace.settings.write_text('[pictures]\ncoco = ["pictures"]\n')
    (workspace.root / "pictures").mkdir()
    for number in range(40):
        draw(workspace, f"{number}.jpg", number)
    return workspace


def draw(workspace: Workspace, name: str, number: int, **save: Any) -> Path:
    path = workspace.root / "pictures" / name
    Image.new("RGB", (40, 30), (number, 255 - number, 100)).save(path, **save)
    return path


def freeze(workspace: Workspace, items: list[ExportItem], name: str = "set-001") -> None:
    folder = workspace.exports / name
    folder.mkdir(parents=True)
    (folder / "items.jsonl").write_text("".join(item.to_line() for item in items))
    files: dict[str, FileFacts] = {"items.jsonl": file_facts(folder / "items.jsonl")}
    manifest = Manifest(
        name=name,
        tool_version="0",
        event_seq=1,
        selection={"states": ["accepted"]},
        counts=ManifestCounts(pairs=len(items)),
        files=files,
        export_sha256=hash_of(files),
    )
    (folder / "manifest.json").write_text(manifest.to_text())


def pairs_of(images: int) -> list[ExportItem]:
    return [pair(2 * n + m, n, f"{NO_HAT} {n} {m}") for n in range(images) for m in (0, 1)]


def table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


def derived(workspace: Workspace, *words: object, code: int = 0) -> dict[str, Any]:
    result = negwb(workspace, "export-as", *words, "--json")
    assert result.exit_code == code, (result.output, result.exception)
    return dict(json.loads(result.stdout))


def test_csv_has_the_columns_of_open_clip_and_absolute_paths(workspace: Workspace) -> None:
    import pandas as pd

    texts = [NO_HAT, HARD_TEXT, "null", "NA"]
    freeze(workspace, [pair(n, n // 2, text) for n, text in enumerate(texts)])
    report = derived(workspace, "csv", "set-001")
    folder = workspace.root / "derived" / "set-001-csv"
    assert report["path"] == str(folder)
    assert report["pairs"] == 4
    paths = [str(workspace.root / "pictures" / f"{n // 2}.jpg") for n in range(4)]
    assert table(folder / "train.csv")[0] == ["filepath", "title"]
    read = pd.read_csv(folder / "train.csv", sep="\t")
    assert read["filepath"].tolist() == paths
    assert [str(each).rstrip(" ") for each in read["title"]] == texts
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"] == {"train.csv": {"sha256": digest(folder / "train.csv"), "bytes": size(folder)}}
    assert isinstance(negwb(workspace, "export-as", "csv", "set-001").exception, UsageError)  # never overwritten


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def size(folder: Path) -> int:
    return (folder / "train.csv").stat().st_size


def test_hard_negatives_contradict_the_text_and_present_rejections_are_reversed(workspace: Workspace) -> None:
    rejected = {"state": "rejected", "reasons": ("present",)}
    twin = {"triplet": {"paraphrase": "a dog, no hat", "twin": "a dog in a hat"}}
    items = [
        pair(1, 1, NO_HAT),
        pair(2, 2, NO_HAT, **twin),
        pair(3, 3, NO_HAT, **rejected),
        pair(4, 4, "hats are nowhere", caption="a hat", **rejected),
        pair(5, 5, "hats are nowhere", caption="a dog in a hat"),
        pair(6, 6, "hats are nowhere"),
        pair(7, 7, "hats are nowhere", **{**rejected, "caption": None}),
        pair(8, 8, NO_HAT, state="rejected", reasons=("present", "grammar")),
        pair(9, 9, NO_HAT, state="unsure"),
    ]
    freeze(workspace, items)
    report = derived(workspace, "csv", "set-001", "--hard-negatives")
    rows = table(Path(report["path"]) / "train.csv")
    assert [row[1:] for row in rows] == [
        ["title", "negative"],
        [NO_HAT, "a dog with a hat"],
        [NO_HAT, "a dog in a hat"],
        ["a dog with a hat", NO_HAT],
        ["a hat", "hats are nowhere"],
        ["hats are nowhere", "a dog in a hat"],
        ["hats are nowhere", ""],
    ]
    assert (report["reverse"], report["without_negative"], report["not_true"]) == (2, 1, 3)
    plain = derived(workspace, "csv", "set-001", "--out", workspace.root / "plain")
    assert [row[1] for row in table(workspace.root / "plain" / "train.csv")[1:]] == [
        *(2 * [NO_HAT]),
        *(2 * ["hats are nowhere"]),
    ]
    assert plain["not_true"] == 5


def test_splits_are_disjoint_by_image_content_and_seeded(workspace: Workspace) -> None:
    pictures = workspace.root / "pictures"
    items = pairs_of(40)
    for number in range(40):  # the same images under other names
        (pictures / f"copy{number}.jpg").write_bytes((pictures / f"{number}.jpg").read_bytes())
        items.append(pair(100 + number, f"copy{number}.jpg", NO_HAT))
    freeze(workspace, items)

    def sides(out: str, *words: object) -> list[set[str]]:
        report = derived(workspace, "csv", "set-001", "--out", workspace.root / out, *words)
        names = list(report["splits"])
        assert sum(report["splits"][name]["pairs"] for name in names) == 120
        tables = (table(workspace.root / out / f"{name}.csv")[1:] for name in names)
        return [{digest(Path(row[0])) for row in rows} for rows in tables]

    train, val = sides("one", "--split", "train=0.7,val=0.3")
    assert not train & val
    assert 20 <= len(train) <= 36
    assert sides("again", "--split", "train=0.7,val=0.3") == [train, val]
    assert sides("other", "--split", "train=0.7,val=0.3", "--seed", "1") != [train, val]


@pytest.mark.parametrize("words", ["train", "train=0.9", "train=0.9,val=0.2", "a=0.5,a=0.5", "../x=1", "a=nan", "a=2"])
def test_a_wrong_split_is_refused(workspace: Workspace, words: str) -> None:
    freeze(workspace, pairs_of(1))
    assert isinstance(negwb(workspace, "export-as", "csv", "set-001", "--split", words).exception, UsageError)
    assert not workspace.derived.exists()


def test_unusable_images_are_listed_and_the_others_written(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = workspace.root / "pictures"
    monkeypatch.setattr("workbench.export_formats.images.MAX_PIXELS", 10_000)
    Image.new("RGB", (200, 100)).save(pictures / "bomb.jpg")
    (pictures / "text.jpg").write_text("no image")
    (pictures / "empty.jpg").touch()
    Image.effect_noise((90, 90), 80).save(pictures / "cut.jpg")
    (pictures / "cut.jpg").write_bytes((pictures / "cut.jpg").read_bytes()[:-1_000])  # the header is complete
    names = ["0.jpg", "bomb.jpg", "cut.jpg", "empty.jpg", "nowhere.jpg", "text.jpg", "../x.jpg", "1.jpg"]
    freeze(workspace, [pair(n, name, NO_HAT) for n, name in enumerate(names)])
    report = derived(workspace, "webdataset", "set-001", code=1)
    folder = Path(report["path"])
    lines = [json.loads(line) for line in (folder / "skipped_images.jsonl").read_text().splitlines()]
    assert [(line["file_name"], line["problem"]) for line in lines] == [
        ("bomb.jpg", "TOO_LARGE"),
        ("cut.jpg", "DAMAGED"),
        ("empty.jpg", "EMPTY"),
        ("nowhere.jpg", "MISSING"),
        ("text.jpg", "NOT_AN_IMAGE"),
        ("../x.jpg", "MISSING"),
    ]
    assert (report["pairs"], report["skipped_images"], report["skipped_pairs"]) == (2, 6, 6)
    result = negwb(workspace, "export-as", "csv", "set-001")
    assert "left out 6 pairs of 6 images" in result.stderr
    assert "first: coco/bomb.jpg" in result.stderr


def test_an_export_without_usable_rows_leaves_no_folder(workspace: Workspace) -> None:
    freeze(workspace, [pair(1, "nowhere.jpg", NO_HAT)])
    freeze(workspace, [pair(1, 1, NO_HAT, state="unsure")], "unsure")
    for name in ("set-001", "unsure"):
        assert isinstance(negwb(workspace, "export-as", "csv", name).exception, NothingToDo)
    assert list(workspace.derived.iterdir()) == []
    (workspace.exports / "unsure" / "items.jsonl").write_text(pair(1, 1, NO_HAT).to_line())
    assert isinstance(negwb(workspace, "export-as", "csv", "unsure").exception, UsageError)  # changed since
    assert isinstance(negwb(workspace, "export-as", "csv", "nothing").exception, UsageError)
    assert isinstance(negwb(workspace, "export-as", "csv", "set-001", "--image-paths").exception, UsageError)


def test_shards_are_ustar_without_times_and_owners(workspace: Workspace) -> None:
    freeze(workspace, pairs_of(3))
    report = derived(workspace, "webdataset", "set-001", "--shard-pairs", "4", "--hard-negatives")
    folder = Path(report["path"])
    assert report["files"] == ["train/000000.tar", "train/000001.tar"]
    derived(workspace, "webdataset", "set-001", "--shard-pairs", "4", "--hard-negatives", "--out", workspace.root / "b")
    for name in report["files"]:
        assert (folder / name).read_bytes() == (workspace.root / "b" / name).read_bytes()
    with tarfile.open(folder / "train" / "000001.tar") as shard:
        members = shard.getmembers()
        assert [member.name for member in members] == [
            f"00000000{number}.{each}" for number in (4, 5) for each in ("jpg", "json", "txt")
        ]
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in members} == {
            (0, 0, 0, "", "", 0o644, tarfile.REGTYPE)
        }
        first = [shard.extractfile(member) for member in members[:3]]
        image, fields, words = (file.read() for file in first if file is not None)
    assert image == (workspace.root / "pictures" / "2.jpg").read_bytes()
    assert words.decode() == f"{NO_HAT} 2 0"
    assert json.loads(fields)["negative"] == "a dog with a hat 2 0"
    assert (folder / "train" / "000000.tar").read_bytes()[257:263] == b"ustar\0"


def load_hf(kind: str, folder: Path, cache: Path) -> Any:
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(kind, data_dir=str(folder), cache_dir=str(cache))


def mixed(workspace: Workspace) -> list[ExportItem]:
    """Return pairs with images of three formats, and hostile text."""
    draw(workspace, "deep.png", 3)
    draw(workspace, "moving.gif", 4)
    return [
        pair(1001, 1, NO_HAT, caption=None),
        pair(1002, 1, HARD_TEXT),
        pair(1003, "deep.png", NO_HAT),
        pair(1004, "moving.gif", NO_HAT, cue="without"),
    ]


@pytest.mark.long
def test_open_clip_reads_the_csv(workspace: Workspace) -> None:
    from open_clip_train.data import get_csv_dataset
    from open_clip_train.params import parse_args

    freeze(workspace, mixed(workspace))
    report = derived(workspace, "csv", "set-001", "--hard-negatives")
    arguments = parse_args(["--train-data", str(Path(report["path"]) / "train.csv"), "--batch-size", "1"])
    arguments.distributed = False
    texts: list[str] = []

    def tokenizer(listed: list[str]) -> list[list[int]]:
        texts.extend(listed)
        return [[0]]

    data = get_csv_dataset(arguments, lambda image: image.convert("RGB").size, is_train=True, tokenizer=tokenizer)
    rows = data.dataloader.dataset
    assert [rows[number][0] for number in range(len(rows))] == [(40, 30)] * 4
    assert texts == [NO_HAT, HARD_TEXT, NO_HAT, NO_HAT]


@pytest.mark.long
def test_webdataset_and_datasets_read_the_shards(workspace: Workspace, tmp_path: Path) -> None:
    import webdataset

    freeze(workspace, mixed(workspace))
    folder = Path(derived(workspace, "webdataset", "set-001")["path"])
    shards = webdataset.WebDataset(str(folder / "train" / "000000.tar"), shardshuffle=False)
    samples = list(shards.decode("pilrgb").to_tuple("jpg", "txt", "json"))
    assert [sample[0].size for sample in samples] == [(40, 30)] * 4
    assert [sample[1] for sample in samples] == [NO_HAT, HARD_TEXT, NO_HAT, NO_HAT]
    assert [sample[2]["key"] for sample in samples] == ["k1001", "k1002", "k1003", "k1004"]
    rows = load_hf("webdataset", folder, tmp_path / "cache")["train"]
    assert [(row["jpg"].size, row["txt"]) for row in rows] == [((40, 30), sample[1]) for sample in samples]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["parquet", "imagefolder"])
def test_datasets_opens_the_images_and_splits(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    freeze(workspace, [*mixed(workspace), *pairs_of(20)])
    words = ("--split", "train=0.6,val=0.4", "--hard-negatives")
    report = derived(workspace, kind, "set-001", *words)
    again = derived(workspace, kind, "set-001", *words, "--out", workspace.root / "again")
    assert report["files"] == again["files"]
    for name in report["files"]:
        assert (Path(report["path"]) / name).read_bytes() == (workspace.root / "again" / name).read_bytes()
    sets = load_hf(kind, Path(report["path"]), tmp_path / "cache")
    assert {name: len(rows) for name, rows in sets.items()} == {
        {"val": "validation"}.get(name, name): split["pairs"] for name, split in report["splits"].items()
    }
    rows = [row for each in sets.values() for row in each]
    assert {row["image"].size for row in rows} == {(40, 30)}
    by_key = {row["key"]: row for row in rows}
    assert (by_key["k1002"]["text"], by_key["k1001"]["caption"], by_key["k1001"]["negative"]) == (
        HARD_TEXT,
        "",
        "a dog with a hat",
    )
    assert by_key["k1004"]["reverse"] is False


@pytest.mark.long
def test_parquet_with_paths_refers_to_the_images(workspace: Workspace, tmp_path: Path) -> None:
    import pandas as pd

    freeze(workspace, pairs_of(2))
    folder = Path(derived(workspace, "parquet", "set-001", "--image-paths", "--shard-pairs", "3")["path"])
    assert sorted(path.name for path in folder.glob("*.parquet")) == ["train-00000.parquet", "train-00001.parquet"]
    read = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])
    pictures = workspace.root / "pictures"
    assert [image["path"] for image in read["image"]] == [str(pictures / f"{n // 2}.jpg") for n in range(4)]
    rows = load_hf("parquet", folder, tmp_path / "cache")["train"]
    assert rows[3]["image"].size == (40, 30)


REJECTED = {"state": "rejected", "reasons": ("present",)}


def gate_items(forward: int, reverse: int) -> list[ExportItem]:
    """Pairs whose text differs only in the denial, each of an image of its own."""
    return [
        pair(n, n % 40, f"a dog with no hat near {n}", **({} if n < forward else REJECTED))
        for n in range(forward + reverse)
    ]


def test_a_set_whose_false_captions_are_all_affirmative_fails_the_gate(workspace: Workspace) -> None:
    """GIVEN accepted pairs only WHEN hard negatives are written THEN the text alone tells which caption is true."""
    freeze(workspace, gate_items(30, 0))
    done = negwb(workspace, "export-as", "csv", "set-001", "--hard-negatives", "--json")
    gate = json.loads(done.stdout)["gate"]
    assert (gate["passes"], gate["forward"], gate["reverse"], gate["accuracy"]) == (False, 30, 0, 1.0)
    assert done.exit_code == 0
    assert "warning: blind accuracy 1.00" in done.stderr
    assert "--state accepted --state rejected --reason present" in done.stderr
    out = workspace.root / "strict"
    refused = negwb(workspace, "export-as", "csv", "set-001", "--hard-negatives", "--strict", "--out", out)
    assert isinstance(refused.exception, GateFailed)
    assert not out.exists()
    assert [path.name for path in workspace.root.iterdir() if path.name.startswith(".strict")] == []
    plain = derived(workspace, "csv", "set-001", "--out", out)
    assert plain["gate"] is None


def test_balance_leaves_as_many_reversed_pairs_as_others_and_keeps_all_true_texts(workspace: Workspace) -> None:
    freeze(workspace, gate_items(60, 20))
    whole = derived(workspace, "csv", "set-001", "--hard-negatives", "--out", workspace.root / "whole")
    assert (whole["gate"]["passes"], whole["gate"]["balanced"]["pairs"]) == (False, 40)
    report = derived(workspace, "csv", "set-001", "--hard-negatives", "--balance", "--strict")
    gate = report["gate"]
    assert (gate["passes"], gate["forward"], gate["reverse"]) == (True, 20, 20)
    assert (report["pairs"], report["reverse"], report["without_negative"]) == (80, 20, 40)
    rows, full = (table(Path(each["path"]) / "train.csv") for each in (report, whole))
    assert sorted(row[1] for row in rows) == sorted(row[1] for row in full)
    kept = {row[1] for row in rows[1:] if row[2]}
    other = derived(
        workspace, "csv", "set-001", "--hard-negatives", "--balance", "--seed", "5", "--out", workspace.root / "other"
    )
    assert {row[1] for row in table(Path(other["path"]) / "train.csv")[1:] if row[2]} != kept
    assert isinstance(negwb(workspace, "export-as", "csv", "set-001", "--balance").exception, UsageError)


def test_of_more_reversed_pairs_some_lose_their_negative(workspace: Workspace) -> None:
    freeze(workspace, gate_items(10, 30))
    report = derived(workspace, "csv", "set-001", "--hard-negatives", "--balance")
    assert (report["pairs"], report["reverse"], report["without_negative"]) == (40, 10, 20)
    assert (report["gate"]["forward"], report["gate"]["reverse"]) == (10, 10)
