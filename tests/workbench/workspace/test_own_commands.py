"""Shell lines of [commands]: no text of a card is ever parsed by the shell; wrong tables are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.annotation.command_runner import run_command
from workbench.errors import UsageError
from workbench.workspace.keymap import ActionMap, KeyScope
from workbench.workspace.own_commands import OwnCommand, environment_of, shell_line
from workbench.workspace.settings.settings import find_problems, read_settings

HOSTILE = (
    "a dog $(touch owned) `touch owned` without a hat",
    "'; touch owned; '",
    '"; touch owned; "',
    '\\"$(touch owned)\\"',
    "a & touch owned | touch owned > owned",
    "*",
    "-n --help",
    "${IFS}$PATH",
    "two\nlines  and   spaces",
    "no «ü» 李",
    "}{ {id} {caption}",
    "",
)
LINES = (
    "printf %s {caption}",
    'printf %s "{caption}"',
    'printf "%s" "$(printf %s {caption})"',
    'printf %s "$(printf %s "{caption}")"',
    'printf %s $(true)""{caption}',
    "cat <<END\n{caption}\nEND",
    "printf %s `true`{caption}",
)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_one_word_and_never_run(tmp_path: Path, line: str, text: str) -> None:
    command = OwnCommand(name="show", key="f6", run=line)
    result = run_command(command, environment_of(7, text, "", ""), tmp_path)
    assert result.code == 0
    expected = f'"{text}"\n' if "<<" in line else text.rstrip("\n")
    assert result.output == expected
    assert list(tmp_path.iterdir()) == []


def test_other_braces_are_the_shells() -> None:
    for line in ("awk '{print $1}'", "echo ${HOME} ${id}", "echo {a,b} {}", "f() { echo; }; f"):
        assert shell_line(line) == line
    assert shell_line("a {picture}{id}") == 'a "${NEGWB_IMAGE}""${NEGWB_ID}"'
    assert shell_line("echo \\'{id}") == 'echo \\\'"${NEGWB_ID}"', "an escaped quotation mark quotes nothing"


def test_the_output_and_the_exit_code(tmp_path: Path) -> None:
    result = run_command(OwnCommand(name="a", key="f6", run="pwd; echo last >&2; echo; exit 3"), {}, tmp_path)
    assert (result.code, result.output, result.last_line) == (3, f"{tmp_path}\nlast\n\n", "last")
    result = run_command(OwnCommand(name="a", key="f6", run="yes | head -c 300000; cat"), {}, tmp_path)
    assert (result.code, len(result.output)) == (0, 65_536)
    with pytest.raises(UsageError, match="a does not start"):
        run_command(OwnCommand(name="a", key="f6", run="true"), environment_of(1, "x" * 10_000_000, "", ""), tmp_path)


def test_commands_are_actions_of_a_card(tmp_path: Path) -> None:
    file = tmp_path / "negwb.toml"
    file.write_text(
        '[commands]\nexif = { key = "ctrl+e", run = "exiftool {image}", help = "EXIF data" }\n'
        '[commands.log]\nkey = "f6,f7"\nrun = "echo {id} >> log"\n'
    )
    commands = read_settings(file).commands
    assert [(each.name, each.needs_image) for each in commands] == [("exif", True), ("log", False)]
    actions = ActionMap(commands=commands)
    own = {action.label: (actions.keys(action), action.help) for action in actions.at(KeyScope.CARD)[-2:]}
    assert own == {"exif": (["ctrl+e"], "EXIF data"), "log": (["f6", "f7"], "Runs: echo {id} >> log")}


@pytest.mark.parametrize(
    ("table", "line", "message", "hint"),
    [
        ('a = { key = "x", run = "true" }', 2, "[commands] the key 'x' of a is that of reject", "free key"),
        ('a = { key = "f6", run = "true" }\nb = { key = "f6", run = "true" }', 3, "of b is that of command-a", "free"),
        ('a = { key = "ctrl+q", run = "true" }', 2, "that which quits the app", "free key"),
        ('a = { key = "3", run = "true" }', 2, "the key '3' of a is that of", "free key"),
        ('a = { key = "f6", run = "echo {captoin}" }', 2, "run = 'echo {captoin}'", "{caption} instead of {captoin}"),
        ('a = { key = "f6", run = "echo \'{caption}\'" }', 2, "run = ", "without the single quotes"),
        ('a = { key = "f6", run = " " }', 2, "run = ' '", "a shell line"),
        ('a = { run = "true" }', 2, "[commands.a] has no key", "text in quotes"),
        ('a = "true"', 2, "a = 'true'", "begin a table"),
        ('A_b = { key = "f6", run = "true" }', 2, "'A_b' is no name", "small letters"),
        ('a = { key = ",", run = "true" }', 2, "no key", "key"),
    ],
)
def test_a_wrong_command_is_refused_with_its_line(
    tmp_path: Path, table: str, line: int, message: str, hint: str
) -> None:
    file = tmp_path / "negwb.toml"
    file.write_text(f"[commands]\n{table}\n")
    ((at, problem),) = find_problems(file)
    assert at == line
    assert message in problem.message
    assert hint in problem.hint
    with pytest.raises(UsageError):
        read_settings(file)


def test_a_key_that_was_freed_can_be_used(tmp_path: Path) -> None:
    file = tmp_path / "negwb.toml"
    file.write_text('[curate.keys]\naccept = "f5"\n[commands]\na = { key = "a", run = "true" }\n')
    assert find_problems(file) == []
