"""workbench.workspace.settings.errors: one line that says what is wrong, where it is, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import UsageError
from workbench.workspace.settings.settings import read_settings


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[curate]\n\nordr = 'a'", "[curate] has no setting 'ordr' (line 3)", "did you mean order?"),
        ("[curate]\nblind = 1", "[curate] blind = 1 (line 2)", "expected: true or false"),
        (
            "curate.audit_rate = 2\ncurate.blind = 1",
            "[curate] audit_rate = 2 (line 1)",
            "expected: a number from 0 to 1; also wrong: curate.blind",
        ),
        (
            "[generate]\njudges = [\n  'a',\n  3,\n]",
            "[generate] judges[1] = 3 (line 2)",
            'expected: text in quotes, as in: judges = ["llava", "annotations"]',
        ),
        (
            "[engines.a]\nkind = 'openai'\nkey_evn = 'K'",
            "[engines.a] has no setting 'key_evn' (line 3)",
            "did you mean key_env?",
        ),
        (
            "[engines.a]\nurl = 'x'",
            "[engines.a] has no kind (line 1)",
            'expected: text in quotes, as in: kind = "openai"',
        ),
        ("[lint]\noff = ['over-frequnt']", "[lint] off[0] = 'over-frequnt' (line 2)", "one of: "),
        ("lint = 3", "lint = 3: a table is expected (line 1)", "begin a table with the line [lint]"),
        ("[trian]", "unknown table [trian] (line 1)", "did you mean [train]? known: pictures, "),
    ],
)
def test_a_problem_is_located_and_explained(tmp_path: Path, text: str, message: str, hint: str) -> None:
    file = tmp_path / "negwb.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_settings(file)
    assert refused.value.message == f"{file}: {message}"
    assert refused.value.hint.startswith(hint)
