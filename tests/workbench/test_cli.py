"""The command line in processes of its own: exit codes, messages, help, completion and imported modules."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.cli import STAGES

START = "import sys; sys.argv[0] = 'negwb'; from workbench.cli import main; sys.exit(main())"
COMMANDS = [name for names in STAGES.values() for name in names]
HEAVY = (
    "email",
    "textual",
    "sqlmodel",
    "sqlalchemy",
    "numpy",
    "PIL",
    "torch",
    "httpx",
    "alembic",
    "rich",
    "regex",
    "ftfy",
    "open_clip",
)


def negwb(*args: str, code: str = START, **more) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, outside of any workspace."""
    env = {**os.environ, "NEGWB_WORKSPACE": "", **more.pop("env", {})}
    options = {"capture_output": True, "text": True, "timeout": 60, "cwd": "/", "env": env, **more}
    return subprocess.run([sys.executable, "-c", code, *args], check=False, **options)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """An empty workspace, which no test changes."""
    folder = tmp_path_factory.mktemp("cli") / "ws"
    assert negwb("init", str(folder)).returncode == 0
    return folder


@pytest.fixture
def damaged(workspace, tmp_path) -> Path:
    """A copy of the workspace, for a test to damage."""
    for name in ("negwb.toml", "curation.db"):
        (tmp_path / name).write_bytes((workspace / name).read_bytes())
    return tmp_path


def test_help_loads_nothing_heavy():
    code = f"""
import sys
from workbench import cli
sys.argv = ["negwb", "--help"]
cli.main()
loaded = [name for name in {HEAVY!r} if name in sys.modules]
sys.exit(", ".join(loaded) or 0)"""
    done = negwb(code=code)
    assert done.returncode == 0, f"loaded: {done.stderr}"


def test_help_groups_the_commands_by_stage():
    sections = negwb("--help").stdout.split("\n\n")[-len(STAGES) :]
    listed = {lines[0]: [line.split()[0] for line in lines[1:]] for lines in map(str.splitlines, sections)}
    assert listed == {f"{stage}:": list(names) for stage, names in STAGES.items()}


def test_every_command_has_one_stage():
    from typer.main import get_command

    from workbench.cli import app

    assert sorted(get_command(app).commands) == sorted(name for names in STAGES.values() for name in names)


@pytest.mark.parametrize("words", ["room", "lab", "sit down", "told", "nobody", "whoever", "somebody", "house"])
def test_help_is_in_plain_words(words):
    from typer.testing import CliRunner

    from workbench.cli import app

    for command in ("", *COMMANDS):
        output = CliRunner().invoke(app, [*command.split(), "--help"]).output
        assert not re.search(rf"\b{words}\b", output), f"negwb {command}"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command):
    # in this process, since 22 starts of Python take seconds
    from typer.testing import CliRunner

    from workbench.cli import app

    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"negwb {command}" in result.output.partition("Example")[2]


def test_help_of_the_benches():
    from typer.testing import CliRunner

    from workbench.cli import app

    for command in ("list", "fetch", "run"):
        result = CliRunner().invoke(app, ["bench", command, "--help"])
        assert f"negwb bench {command}" in result.output.partition("Example")[2]


def test_errors_of_training_and_benchmarks_exit_with_6():
    for error in ("benchmarks.errors.BenchError", "trainers.errors.TrainerError"):
        module, _, name = error.rpartition(".")
        done = negwb("boom", code=with_command(f"import {module}; raise {error}('no way', hint='another')"))
        assert (done.returncode, done.stderr) == (6, "negwb: no way\n       another\n"), name


def test_version():
    from workbench import version

    assert negwb("--version").stdout == f"negwb {version()}\n"


class TestExitCodes:
    @pytest.mark.parametrize(
        "args",
        [
            ("bogus",),
            ("status", "--bogus"),
            ("-w", "/nowhere", "status"),
            ("status",),
            ("export", "--at", "x"),
            ("export", "--state", "lovely"),
        ],
    )
    def test_usage(self, args):
        done = negwb(*args)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("negwb: ")
        assert "Traceback" not in done.stderr

    def test_usage_errors_name_the_help(self):
        assert "see: negwb export --help" in negwb("export", "--bogus").stderr

    @pytest.mark.parametrize("option", ["-w", "--workspace"])
    def test_the_workspace_option_after_the_command_is_an_error_with_a_hint(self, option):
        result = negwb("bench", "list", option, "elsewhere")
        assert result.returncode == 2
        assert "put it before the command: negwb -w FOLDER bench list" in result.stderr

    def test_no_command_shows_the_help(self):
        done = negwb()
        assert done.returncode == 2
        assert done.stderr.startswith("Usage: negwb ")

    @pytest.mark.parametrize("command", ["status", "export"])
    def test_not_a_database(self, damaged, command):
        (damaged / "curation.db").write_bytes(b"GIF89a" * 1_000)
        self.expect_database_error(damaged, command, "damaged")

    def test_another_database(self, damaged):
        (damaged / "curation.db").unlink()
        connection = sqlite3.connect(damaged / "curation.db")
        connection.execute("CREATE TABLE x(y)")
        connection.close()
        self.expect_database_error(damaged, "status", "is not a negwb database")

    def test_corrupt_pages(self, damaged):
        with (damaged / "curation.db").open("r+b") as file:
            file.seek(4_096)
            file.write(b"\xff" * 200_000)
        self.expect_database_error(damaged, "status", "damaged")

    def test_newer_schema(self, damaged):
        connection = sqlite3.connect(damaged / "curation.db")
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.close()
        self.expect_database_error(damaged, "export", "newer negwb")

    def test_no_database(self, damaged):
        (damaged / "curation.db").unlink()
        self.expect_database_error(damaged, "status", "no database")

    def expect_database_error(self, folder: Path, command: str, message: str):
        done = negwb("-w", str(folder), command)
        assert (done.returncode, done.stdout) == (3, "")
        assert message in done.stderr
        assert "Traceback" not in done.stderr

    def test_nothing_to_do(self, workspace):
        done = negwb("-w", str(workspace), "export", "--json")
        assert (done.returncode, done.stdout) == (5, "")
        assert "negwb curate" in done.stderr

    def test_an_unexpected_error_names_its_class(self):
        done = negwb("boom", code=with_command("raise ZeroDivisionError"))
        assert done.returncode == 1
        assert "ZeroDivisionError" in done.stderr

    @pytest.mark.parametrize("code", ["os.kill(os.getpid(), signal.SIGINT); time.sleep(5)", "raise KeyboardInterrupt"])
    def test_interrupted(self, code):
        done = negwb("boom", code=with_command(code))
        assert done.returncode == 130
        assert done.stderr == "negwb: interrupted; what was done is kept\n"

    @pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
    def test_ended_by_a_signal(self, number, code):
        done = negwb("boom", code=with_command(f"os.kill(os.getpid(), signal.{number}); time.sleep(5)"))
        assert done.returncode == code
        assert done.stderr == f"negwb: ended by {number}; what was done is kept\n"

    def test_messages_are_safe_for_the_terminal(self):
        done = negwb("-w", "/\x1b[31m\u202enowhere", "status")
        assert done.returncode == 2
        assert "\x1b" not in done.stderr
        assert "\u202e" not in done.stderr


def with_command(body: str) -> str:
    """Return a start of the command line with one more command, `boom`."""
    return f"""
import os, signal, sys, time
from workbench import cli

@cli.app.command()
def boom():
    {body}

sys.exit(cli.main())"""


@pytest.mark.parametrize("args", [("status", "--json"), ("status",), ("--help",), ("export", "--help")])
def test_a_closed_pipe_is_no_error(workspace, args):
    """Also the interpreter's last flush prints no trace."""
    reader, writer = os.pipe()
    os.close(reader)
    done = negwb("-w", str(workspace), *args, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


class TestCompletion:
    def test_completes_without_a_workspace(self):
        env = {"_NEGWB_COMPLETE": "complete_bash", "COMP_WORDS": "negwb st", "COMP_CWORD": "1"}
        assert negwb(env=env).stdout.split() == ["status"]

    def test_completes_states(self):
        env = {"_NEGWB_COMPLETE": "complete_bash", "COMP_WORDS": "negwb export --state acc", "COMP_CWORD": "3"}
        assert negwb(env=env).stdout.split() == ["accepted"]

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_shows_a_script(self, shell):
        env = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
        done = negwb("--show-completion", shell, env=env)
        assert done.returncode == 0, done.stderr
        assert "_NEGWB_COMPLETE" in done.stdout

    def test_installs(self, tmp_path):
        env = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
        done = negwb("--install-completion", "bash", env=env)
        assert done.returncode == 0, done.stderr
        assert "negwb" in (tmp_path / ".bashrc").read_text()

    def test_touches_no_database(self):
        """Completion imports what --help imports and no more, since the shell waits for it."""
        code = f"""
import sys
sys.argv[0] = 'negwb'
from workbench.cli import main
try:
    main()
except SystemExit:
    pass
sys.exit(", ".join(name for name in {HEAVY!r} + ("sqlite3",) if name in sys.modules) or 0)"""
        env = {"_NEGWB_COMPLETE": "complete_bash", "COMP_WORDS": "negwb status -", "COMP_CWORD": "2"}
        done = negwb(code=code, env=env)
        assert done.returncode == 0, f"loaded: {done.stderr}"
        assert "--json" in done.stdout


def test_an_interrupted_export_leaves_no_folder(damaged):
    """The signal arrives while the pairs are written."""
    code = """
import os, signal, sys
from workbench import cli
from curation_db.exporting import freeze

def stop(*_):
    os.kill(os.getpid(), signal.SIGINT)
    return iter(())

freeze.read_pairs = stop
sys.exit(cli.main())"""
    connection = sqlite3.connect(damaged / "curation.db")
    connection.executescript("""
        INSERT INTO source(id, name) VALUES (1, 's');
        INSERT INTO image(id, source_id, key) VALUES (1, 1, '1');
        INSERT INTO candidate(id, source_id, key, image_id, text, raw_sha256, pipeline, negation_type, generator,
            tokens, overlap, stratum, audit, audit_rate, created_at)
            VALUES (1, 1, 'g/1', 1, 'no dog', x'00', 'P1', 'absence', 'g', 4, '1', 's', 0, 0, '');
        INSERT INTO event(uid, act, candidate_id, actor, role, session, stream, blind, kind, late, at)
            VALUES ('u', 'u', 1, 'ana', 'annotator', 's', 'review', 0, 'accept', 0, '');
    """)
    connection.close()
    done = negwb("-w", str(damaged), "export", code=code)
    assert (done.returncode, done.stdout) == (130, "")
    assert list((damaged / "exports").iterdir()) == []
    assert negwb("-w", str(damaged), "export").returncode == 0


def test_the_workspace_is_found_by_environment_and_upwards(workspace):
    done = negwb("status", "--json", env={"NEGWB_WORKSPACE": str(workspace)})
    assert json.loads(done.stdout)["workspace"] == str(workspace)
    below = workspace / "a" / "b"
    below.mkdir(parents=True)
    assert json.loads(negwb("status", "--json", cwd=below).stdout)["workspace"] == str(workspace)
