"""Tests of `negwb prompts` in a small drawn workspace with scripted engines and a scripted annotator."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.commands import negwb
from support.generated_demo import build_half_audited, json_of

from workbench.demo.build import DemoSize
from workbench.errors import ExitCode, NegwbError
from workbench.workspace.layout import Workspace

SIZE = DemoSize(pictures=24, pool=1, scenes=1, gallery=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo workspace whose audit set is a half of what is generated; tests change a copy."""
    folder = tmp_path_factory.mktemp("drawn") / "demo"
    build_half_audited(folder, SIZE)
    return folder


@pytest.fixture
def workspace(drawn: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(drawn, tmp_path / "demo")
    return Workspace(tmp_path / "demo")


def decide(workspace: Workspace) -> None:
    """Let the scripted annotator decide everything."""
    json_of(workspace, "demo", workspace.root, "--decide")


def test_acceptance_and_cost_of_a_generated_prompt_version(workspace: Workspace) -> None:
    run = json_of(workspace, "generate", "--quiet", "--json", "--limit", 40)
    prompt = run["settings"]["prompts"]
    before = {row["prompt"]: row for row in json_of(workspace, "prompts", "--by", "prompt", "--json")}
    assert before[prompt]["candidates"] == run["kept"]
    assert before[prompt]["audit"] == {"n": 0, "accepted": 0, "share": None, "share_95": None}
    least = before[prompt]["per_accepted"]["requests"]["interval_95"]
    assert least == [pytest.approx(run["requests"] / run["kept"]), None]
    decide(workspace)
    row = next(each for each in json_of(workspace, "prompts", "--by", "prompt", "--json") if each["prompt"] == prompt)
    assert row["audit"]["n"] + row["reviewed"]["n"] == run["kept"]
    assert row["audit"]["n"] > 5
    share = row["audit"]["accepted"] / row["audit"]["n"]
    cost = row["per_accepted"]
    assert cost["requests"]["estimate"] == pytest.approx(run["requests"] / run["kept"] / share)
    assert cost["tokens"]["interval_95"][0] < cost["tokens"]["estimate"] < cost["tokens"]["interval_95"][1]
    assert (cost["money"], row["simulated"]) == (None, True)
    assert before["demo-1"]["per_accepted"] == {"requests": None, "tokens": None, "money": None}  # not generated here


def test_money_by_the_prices_of_the_settings(workspace: Workspace) -> None:
    json_of(workspace, "generate", "--quiet", "--json", "--limit", 10)
    settings = workspace.settings.read_text(encoding="utf-8")
    for name in ("script", "sim-judge-a", "sim-judge-b"):
        settings = settings.replace(f"[engines.{name}]", f"[engines.{name}]\nprice_in = 2.0\nprice_out = 2.0")
    workspace.settings.write_text(settings, encoding="utf-8")
    rows = json_of(workspace, "prompts", "--by", "prompt", "--json")
    cost = next(row["per_accepted"] for row in rows if row["prompt"] != "demo-1")
    assert cost["money"]["interval_95"][0] == pytest.approx(cost["tokens"]["interval_95"][0] * 2 / 1e6)


def test_the_table_folds_small_groups_with_their_labels(workspace: Workspace) -> None:
    decide(workspace)
    done = negwb(workspace, "prompts", "--fold-below", 10_000)
    assert done.exception is None
    assert "others (" in done.stdout
    every = json_of(workspace, "prompts", "--fold-below", 0, "--json")
    folded = json_of(workspace, "prompts", "--fold-below", 10_000, "--json")
    assert (len(every) > 1, len(folded)) == (True, 1)
    assert folded[0]["folded_groups"] == len(every)
    assert folded[0]["reviewed"]["n"] == sum(row["reviewed"]["n"] for row in every)


@pytest.mark.parametrize("by", ["colour", "", "prompt,prompt"])
def test_unknown_dimensions_are_refused(workspace: Workspace, by: str) -> None:
    done = negwb(workspace, "prompts", "--by", by)
    assert isinstance(done.exception, NegwbError)
    assert done.exception.exit_code == ExitCode.USAGE
    assert "proposer, prompt, cue, type" in done.exception.hint
