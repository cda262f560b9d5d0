"""`negwb report compare`: two models item by item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.results import HOSTILE, build_workspace, fill_results, make_result
from typer.testing import CliRunner

from benchmarks.analysis.statistics import mcnemar_exact
from workbench.cli import app
from workbench.errors import UsageError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    created = build_workspace(tmp_path_factory.mktemp("pair") / "ws")
    fill_results(created)
    make_result(created, "alone", "other", [True, False], text=HOSTILE)
    return created


def compare(workspace: Workspace, *words: str) -> Any:
    return CliRunner().invoke(app, ["-w", str(workspace.root), "report", "compare", *words])


def test_difference_test_slices_and_flipped_items(workspace: Workspace) -> None:
    data = json.loads(compare(workspace, "base", "tuned", "--json").stdout)
    assert (data["first"], data["second"]) == ("base", "tuned")
    tasks = {(task["second"]["task"], task["second"]["protocol"]): task for task in data["tasks"]}
    assert len(tasks) == 4
    negated = tasks["demo-negref", "strict"]
    assert negated["difference"]["difference"]["estimate"] == pytest.approx(13 / 20)
    assert (negated["difference"]["gained"], negated["difference"]["lost"]) == (13, 0)
    assert negated["difference"]["p_value"] == mcnemar_exact(13, 0)
    assert negated["difference"]["p_holm"] == pytest.approx(3 * mcnemar_exact(13, 0)), "three tasks under strict"
    assert [item["id"] for item in negated["flipped"]] == [f"i{at}" for at in range(4, 17)]
    assert {item["gained"] for item in negated["flipped"]} == {True}
    assert [item["gained"] for item in tasks["demo-affirm", "strict"]["flipped"]] == [False, False]
    assert {part["value"] for part in negated["slices"]} == {"no", "without", "middle"}


def test_the_tables_have_the_same_figures(workspace: Workspace) -> None:
    lines = [line.split() for line in compare(workspace, "base", "tuned", "--flipped", "3").stdout.splitlines()]
    assert ["demo-negref", "strict", "20", "20.0", "85.0", "+65.0"] in [line[:6] for line in lines]
    assert sum(line[2:3] == ["gained"] for line in lines if line[:2] == ["demo-negref,", "strict"]) == 3
    assert [line[-1] for line in lines if line[:2] == ["demo-negref", "strict"]] == ["80.0"], "never without it"
    reverse = compare(workspace, "tuned", "base").stdout
    assert "-65.0" in reverse


def test_models_that_cannot_be_compared(workspace: Workspace) -> None:
    for words in (("base", "nobody"), ("nobody", "base"), ("base", "base"), ("base", "other"), ("base", "")):
        assert isinstance(compare(workspace, *words).exception, UsageError), words
    words = ("-w", str(workspace.root), "report", "--json", "compare", "base", "tuned")
    assert isinstance(CliRunner().invoke(app, words).exception, UsageError), "an option that would be ignored"


def test_base_is_the_base_model_under_its_own_name(tmp_path: Path) -> None:
    """As in `negwb bench run --model base`; a model that is called base comes first."""
    workspace = create_workspace(tmp_path / "ws")
    for name, right in (("ViT-B-32:openai", 4), ("tuned", 17)):
        make_result(workspace, "demo-negref", name, [at < right for at in range(20)])
    for words in (("base", "tuned"), ("tuned", "base")):
        data = json.loads(compare(workspace, *words, "--json").stdout)
        assert [data["first"], data["second"]] == [{"base": "ViT-B-32:openai"}.get(word, word) for word in words]
    words = ("-w", str(workspace.root), "report", "--json", "--base")
    reports = [CliRunner().invoke(app, [*words, name]).stdout for name in ("base", "ViT-B-32:openai", "tuned")]
    assert reports[0] == reports[1] != reports[2]
    make_result(workspace, "demo-negref", "base", [True] * 20)
    assert json.loads(compare(workspace, "base", "tuned", "--json").stdout)["first"] == "base"


def test_models_of_one_name_are_compared_by_their_hash(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    for at, (right, device) in enumerate([(False, "cpu"), (True, "cuda")]):
        stored = make_result(workspace, "t-affirm", "same", [right] * 20)
        content = json.loads(stored.path.read_text())
        content["model"] |= {"hash": f"{at}" * 64, "device": device}
        stored.path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="matches several models") as raised:
        raise compare(workspace, "same", "same").exception  # type: ignore[misc]
    assert raised.value.hint == "measured: same #00000000, same #11111111"
    for words in (("00000000", "11111111"), ("same #00000000", "same #11111111")):
        text = compare(workspace, *words).stdout
        assert text.startswith("A: SAME #00000000, B: SAME #11111111")
        assert "measured in fp32 on cuda, same in fp32 on cpu" in text
