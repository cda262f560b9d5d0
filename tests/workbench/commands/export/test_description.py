"""Tests of `negwb export-croissant` and `negwb export-paper`: they state the record as of the export."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace
from hashlib import sha256

import pytest
from sqlalchemy import text
from support.labelled_workspace import make_labelled
from typer.testing import CliRunner

from curation_db.enums import Kind, Reason, State
from curation_db.events.annotators import begin_session
from curation_db.exporting.manifest import ExportItem, verify
from curation_db.exporting.pseudonyms import read_pseudonyms
from curation_db.exporting.selection import ExportFilter
from curation_db.review.decisions import DecisionWriter
from curation_db.stats.agreement import agreement
from curation_db.storage.store import open_read_only, open_store
from workbench.cli import app
from workbench.errors import NegwbError, UsageError
from workbench.reports.exports import statements
from workbench.reports.exports.paper import latex_text, markdown_text, to_latex, to_markdown
from workbench.reports.exports.statements import interval_text
from workbench.reports.exports.summary import PolicyUse, summarize
from workbench.workspace.operations import freeze_set

RAI = {
    "rai:dataCollection",
    "rai:dataCollectionType",
    "rai:dataCollectionRawData",
    "rai:dataCollectionTimeframe",
    "rai:dataAnnotationProtocol",
    "rai:dataAnnotationPlatform",
    "rai:dataAnnotationAnalysis",
    "rai:annotationsPerItem",
    "rai:machineAnnotationTools",
    "rai:dataBiases",
    "rai:dataLimitations",
    "rai:dataUseCases",
    "rai:personalSensitiveInformation",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Twelve candidates of six images; ana and bob agree on all but one, and a judge answered about all."""
    created = make_labelled(tmp_path_factory.mktemp("described") / "ws", 12, images=6)
    with open_store(created.database) as store:
        with store.write() as connection:
            connection.execute(
                text("""INSERT INTO verdict(candidate_id, judge, model, prompt_version, question, p, raw_text, method,
                                            simulated, created_at)
                        SELECT id, 'judge_1', 'm&m', 'ask-1', 'present', 0.1, '', 'logprobs', 0, '' FROM candidate""")
            )
            connection.execute(
                text("UPDATE source SET licenses = :licenses"),
                {"licenses": json.dumps([{"id": 1, "name": "CC BY", "url": "https://example.org/by"}, "odd"])},
            )
        bob = DecisionWriter(store, begin_session(store, "bob", version="test"))
        bob.decide(1, Kind.REJECT, reason=Reason.PRESENT)  # replaces his accept
    freeze_set(created, "set-001")
    return created


def run(workspace, *args):
    result = CliRunner().invoke(app, ["-w", str(workspace.root), *args])
    assert result.exit_code == 0, result.output
    return result.stdout


def people(workspace):
    with open_read_only(workspace.database) as store, store.read() as connection:
        return read_pseudonyms(connection)


def summary_of(workspace, **more):
    with open_read_only(workspace.database) as store, store.read() as connection:
        return summarize(connection, workspace.exports / "set-001", resamples=100, **more)


def test_the_metadata_name_files_fields_and_what_the_record_proves(workspace):
    folder = workspace.exports / "set-001"
    printed = run(workspace, "export-croissant", "set-001")
    metadata = json.loads(printed)
    assert metadata["conformsTo"][0] == "http://mlcommons.org/croissant/1.1"
    assert {each["@id"]: each["sha256"] for each in metadata["distribution"]} == {
        path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()
    }
    described = [field["source"]["extract"]["column"] for field in metadata["recordSet"][0]["field"]]
    assert described == [field.name for field in fields(ExportItem) if field.name not in ("url", "triplet", "votes")]
    assert metadata["license"] == ["https://example.org/by"]
    assert {name for name in metadata if name.startswith("rai:")} == RAI  # neither demographics nor social impact
    assert "ana" not in printed.replace("analysis", "")  # "Analysis" of decisions
    ana, bob = (people(workspace).of(name) for name in ("ana", "bob"))
    assert f"{ana}: 6 accept, 6 reject, 0 unsure." in metadata["rai:dataAnnotationAnalysis"]
    assert f"{bob}: 5 accept, 7 reject, 0 unsure." in metadata["rai:dataAnnotationAnalysis"]
    assert "no name of an annotator" in metadata["rai:personalSensitiveInformation"][0]
    assert any("judge_1: model m&m, prompt ask-1" in each for each in metadata["rai:machineAnnotationTools"])
    assert "ana: 6 accept" in run(workspace, "export-croissant", "set-001", "--names")

    beside = folder / "croissant.json"
    run(workspace, "export-croissant", "set-001", "--out", str(beside), "--url", "https://example.org/set/")
    assert json.loads(beside.read_text())["distribution"][0]["contentUrl"] == "https://example.org/set/coco.json"
    assert verify(folder) == []
    beside.unlink()

    with open_store(workspace.database) as store:
        carl = DecisionWriter(store, begin_session(store, "carl", version="test"))
        carl.decide(1, Kind.ACCEPT)  # later than the export
    assert run(workspace, "export-croissant", "set-001") == printed


def test_the_summary_counts_the_votes_in_force_as_of_the_export(workspace):
    summary = summary_of(workspace)
    expected = agreement(
        [[Kind.ACCEPT] * accepts + [Kind.REJECT] * (2 - accepts) for accepts in (1, *[0, 2] * 5, 0)],
        (Kind.ACCEPT, Kind.REJECT),
        resamples=10,
    )
    known = summary.agreement
    assert (known.items, known.ratings) == (12, 24)
    assert (known.observed.estimate, known.ac1.estimate, known.alpha.estimate) == pytest.approx(
        (expected.observed.estimate, expected.ac1.estimate, expected.alpha.estimate)
    )
    assert (summary.candidates, summary.candidate_images, summary.voted, summary.adjudicated) == (12, 6, 12, 0)
    assert dict(summary.votes_per_pair) == {2: 5}
    assert sum(pairs for _, pairs in summary.top_concepts) == summary.manifest.counts.pairs == 5
    assert [(judge.judge, judge.verdicts) for judge in summary.judges] == [("judge_1", 5)]  # not of rejected ones


def test_the_paper_has_the_numbers_of_the_summary(workspace):
    summary = summary_of(workspace)
    policy = PolicyUse("accept@0a1b", 3, "acceptable", 0.95, 0.9, None)
    summary = replace(summary, policies=(policy,), top_concepts=(("a|b_$", 5),))
    markdown, latex = to_markdown(summary), to_latex(summary)
    shown = interval_text(summary.agreement.ac1)
    assert f"Gwet's AC1 {markdown_text(shown)}" in markdown
    assert latex_text(shown) in latex
    assert summary.manifest.export_sha256 in markdown
    assert summary.manifest.export_sha256 in latex
    for sentence in ("2 annotators gave 24 votes in force (11 accept, 13 reject, 0 unsure) on 12 candidates",):
        assert sentence in markdown
        assert sentence in latex
    assert "precision of at least 0.95 at a confidence of 0.9 (label acceptable, a running audit)" in latex
    assert r"| a\|b\_\$ | 5 | 100.0 % |" in markdown
    assert r"a\textbar{}b\_\$ & 5 & 100.0 \% \\" in latex
    assert r"judge\_1 & m\&m & ask-1 & present & 5 \\" in latex
    assert run(workspace, "export-paper", "set-001", "--tex").startswith("% needs")
    assert f"{people(workspace).of('ana')} | 6 | 6 | 0" in run(workspace, "export-paper", "set-001")


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("50%~^", r"50\%\textasciitilde{}\textasciicircum{}"),
        ("---", "-{}-{}-"),
        ("a\nb\x1b[0m", "a b{[}0m"),
    ],
)
def test_latex_text_is_data(raw, escaped):
    assert latex_text(raw) == escaped


def test_an_unknown_changed_or_foreign_export_is_refused(workspace):
    def refused(*args):
        return CliRunner().invoke(app, ["-w", str(workspace.root), *args]).exception

    assert isinstance(refused("export-paper", "none"), UsageError)
    shutil.copytree(workspace.exports / "set-001", workspace.exports / "copy")
    items, manifest = (workspace.exports / "copy" / name for name in ("items.jsonl", "manifest.json"))
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"lineage": "another"}))
    foreign = refused("export-croissant", "copy")
    assert isinstance(foreign, NegwbError)
    assert "does not contain the history" in foreign.message
    items.chmod(0o644)
    items.write_text(items.read_text().replace("a man", "a cat", 1))
    changed = refused("export-paper", "copy")
    assert isinstance(changed, NegwbError)
    assert "the export copy was changed: items.jsonl" in changed.message


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_mlcroissant_validates_the_metadata_and_reads_the_pairs(workspace):
    import mlcroissant

    folder = workspace.exports / "set-001"
    metadata = folder / "croissant.json"
    run(workspace, "export-croissant", "set-001", "--out", str(metadata))
    try:
        dataset = mlcroissant.Dataset(jsonld=str(metadata))
        issues = dataset.metadata.ctx.issues
        assert not issues.errors
        assert len(issues.warnings) == 1  # datePublished, which the record does not know
        assert dataset.metadata.annotations_per_item
        assert len(dataset.metadata.data_biases) >= 3
        rows = list(dataset.records("pairs"))
    finally:
        metadata.unlink()
    assert len(rows) == 5
    assert rows[0]["pairs/deciders"] == sorted(people(workspace).of(name).encode() for name in ("ana", "bob"))
    assert rows[0]["pairs/tokens"] > 2


def test_card_metadata_and_paper_state_the_same_figures(workspace):
    """GIVEN an export with false captions THEN each limit, also the blind gate, is in all three with one wording."""
    if not (workspace.exports / "both").exists():
        negatives = ExportFilter((State.ACCEPTED, State.REJECTED), reasons=(Reason.PRESENT,))
        freeze_set(workspace, "both", selection=negatives, benchmarks={"a": 3, "b": 0, "c": None})
    with open_read_only(workspace.database) as store, store.read() as connection:
        summary = summarize(connection, workspace.exports / "both")
    assert summary.gate is not None
    shown = [run(workspace, f"export-{kind}", "both") for kind in ("card", "paper")]
    metadata = json.loads(run(workspace, "export-croissant", "both"))
    limits = statements.limitations(summary)
    assert metadata["rai:dataLimitations"] == limits
    assert f"{summary.gate.blind.accuracy.estimate:.2f}" in limits[0]
    assert any("by benchmark task (2 known): a 3." in each for each in limits)
    assert any("1 registered benchmark task are not known" in each for each in limits)
    for sentence in (*limits, statements.selection(summary), statements.agreement(summary)):
        assert all(plain(sentence) in plain(text) for text in shown), sentence


def plain(text):
    return " ".join(text.replace("\\", "").replace("&lt;", "<").split())
