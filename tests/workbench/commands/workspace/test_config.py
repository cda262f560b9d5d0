"""`negwb config`: the settings in force, the problems of negwb.toml, its JSON Schema."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.json_schema import problems as violations
from support.tour import READMES
from typer.testing import CliRunner, Result

from workbench import cli
from workbench.demo.build import DemoSize, open_demo
from workbench.workspace.create import create_workspace, settings_template
from workbench.workspace.settings.schema import settings_schema
from workbench.workspace.settings.settings import find_problems

SETTINGS = """\
[curate]
order = "oldest"
audit_rate = 0
[lint]
off = ["over-frequent"]
[generate]
proposer = "llama"
[engines.llama]
kind = "openai"
url = "http://me:secret-1@localhost:8000/v1"
key_env = "LLAMA_KEY"
headers = { api-key = "secret-2", other = "$OTHER" }
[train]
lr = 2e-6
"""
WRONG = """\
[curate]
ordr = "oldest"
blind = 3

[curate.keys]
accept = "x"
[progress.targets]
cue = { no = 0.7, not = 0.7 }
[trian]
[train]
epochs = "many"
[engines.llama]
model = "a"
"""


def negwb(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [*map(str, words)])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = create_workspace(tmp_path / "ws").root
    (folder / "negwb.toml").write_text(SETTINGS)
    return folder


def test_every_setting_is_shown_with_its_value_and_its_source(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_KEY", "secret-3")
    monkeypatch.delenv("NEGWB_WORKSPACE", raising=False)
    output = negwb("-w", workspace, "config", "show", "--json").stdout
    rows = {row["name"]: row for row in json.loads(output)["settings"]}
    assert json.loads(output)["file"] == str(workspace / "negwb.toml")

    def shown(name: str) -> tuple[Any, str, int | None]:
        return rows[name]["value"], rows[name]["source"], rows[name]["line"]

    assert shown("curate.order") == ("oldest", "file", 2)
    assert shown("curate.audit_rate") == (0, "file", 3)
    assert shown("curate.audit_share") == (0.1, "default", None)
    assert shown("curate.keys.accept") == ("a", "default", None)
    assert shown("lint.off") == (["over-frequent"], "file", 5)
    assert shown("train.lr") == (2e-6, "file", 14)
    assert shown("engines.llama.key") == ("set", "environment variable", None)
    assert rows["engines.llama.key"]["variable"] == "LLAMA_KEY"
    assert shown("engines.llama.timeout") == (120.0, "default", None)
    assert rows["engines.llama.headers"]["value"] == {"api-key": "…", "other": "$OTHER"}
    assert shown("workspace") == (str(workspace), "option", None)

    changed = json.loads(negwb("-w", workspace, "config", "show", "--changed", "--json").stdout)["settings"]
    assert {"curate.order", "lint.off", "train.lr"} < {row["name"] for row in changed}
    assert "curate.audit_share" not in {row["name"] for row in changed}

    monkeypatch.setenv("NEGWB_WORKSPACE", str(workspace))
    lines = negwb("config", "show").stdout.splitlines()
    assert re.split(r"  +", next(line for line in lines if line.startswith("curate.order"))) == [
        "curate.order",
        "oldest",
        "line 2",
    ]
    assert any(line.startswith("workspace ") and line.endswith("$NEGWB_WORKSPACE") for line in lines)
    assert "secret" not in output + "".join(lines)


def test_each_problem_has_a_line_and_the_exit_code_is_2(workspace: Path) -> None:
    right = negwb("-w", workspace, "config", "validate")
    assert (right.exit_code, right.stdout) == (0, "")
    file = workspace / "other.toml"
    file.write_text(WRONG)
    done = negwb("config", "validate", file)
    assert done.exit_code == 2
    found = [re.fullmatch(rf"{re.escape(str(file))}:(\d+): (.*)", line) for line in done.stdout.splitlines()]
    assert [(int(each[1]), each[2].partition(" (")[0]) for each in found if each] == [
        (2, "[curate] has no setting 'ordr'"),
        (3, "[curate] blind = 3"),
        (5, "[curate.keys] the key 'x' would mean both accept and reject"),
        (8, "[progress.targets] cue: the shares sum to 1.40, more than 1"),
        (9, "unknown table [trian]"),
        (11, "[train]: train settings: epochs = 'many': a whole number is expected"),
        (12, "[engines.llama] has no kind"),
    ]
    assert "did you mean order?" in done.stdout
    assert "7 problems" in done.stderr


@pytest.mark.parametrize(
    ("text", "line"), [("[curate]\n\nblind = \n", 3), ("[curate]\ntheme = 'nrod'\n", 2), ("a = [\n1,\n", 2)]
)
def test_the_line_of_a_syntax_error_and_of_an_unknown_theme(workspace: Path, text: str, line: int) -> None:
    (workspace / "negwb.toml").write_text(text)
    done = negwb("-w", workspace, "config", "validate")
    assert done.exit_code == 2
    assert done.stdout.startswith(f"{workspace}/negwb.toml:{line}: ")
    assert done.stdout.count("\n") == 1


def examples() -> dict[str, str]:
    """Return the examples of negwb.toml in this repository."""
    text = "".join(readme.read_text(encoding="utf-8") for readme in READMES)
    blocks = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    known = settings_schema()["properties"].keys()
    ours = [block for block in blocks if set(tomllib.loads(block)) <= known]
    assert ours
    commented = re.sub(r"(?m)^# (?=[\w.-]+ = |\[)", "", settings_template())
    return {"template": settings_template(), "template with its examples": commented} | {
        f"README {number}": block for number, block in enumerate(ours)
    }


@pytest.mark.parametrize("name", examples())
def test_the_examples_of_this_repository_are_valid(tmp_path: Path, name: str) -> None:
    text, file = examples()[name], tmp_path / "negwb.toml"
    file.write_text(text)
    assert find_problems(file) == []
    schema = settings_schema()
    assert list(violations(tomllib.loads(text), schema, schema)) == []


def test_the_settings_of_the_demo_are_valid(tmp_path: Path) -> None:
    workspace = open_demo(tmp_path / "demo", size=DemoSize(pictures=1), progress=lambda *_: None)
    assert find_problems(workspace.settings) == []
    schema = settings_schema()
    assert list(violations(tomllib.loads(workspace.settings.read_text()), schema, schema)) == []


def test_the_schema_refuses_what_negwb_refuses(tmp_path: Path) -> None:
    schema = json.loads(negwb("config", "schema").stdout)
    assert schema["properties"]["curate"]["properties"]["audit_rate"]["maximum"] == 1
    assert list(violations(tomllib.loads(SETTINGS), schema, schema)) == []
    for text in (
        "[cruate]",
        "[curate]\nordr = 'a'",
        "[curate]\nblind = 1",
        "[curate]\naudit_rate = 2",
        "[curate]\nimages = 'jpeg'",
        "[curate.keys]\naccept = 1",
        "[pictures]\ncoco = 3",
        "[lint]\noff = ['no-such-rule']",
        "[generate]\nrule = 'most'",
        "[engines.a]\nurl = 'x'",
        "[train]\nprecision = 'fp8'",
        "[train]\nlr = '1'",
        "[browse.views]\na = 1",
        "[progress]\ncue = 'none'",
    ):
        file = tmp_path / "negwb.toml"
        file.write_text(text)
        assert find_problems(file) != [], text
        assert list(violations(tomllib.loads(text), schema, schema)) != [], text
