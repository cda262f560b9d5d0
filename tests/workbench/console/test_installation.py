"""The hint about a missing extra names the tool that installed this copy of negwb."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from workbench.installation import install_command

EDITABLE = {"dir_info": {"editable": True}}


class Installed:
    """An environment with negwb's dist-info in it."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self._info = prefix / "negwb-1.0.dist-info"
        self._info.mkdir(parents=True)
        (self._info / "METADATA").write_text("Metadata-Version: 2.1\nName: negwb\nVersion: 1.0\n")

    def command(self, *, by: str | None = "pip", origin: dict[str, Any] | str | None = None, **environ: str) -> str:
        if by is not None:
            (self._info / "INSTALLER").write_text(f"{by}\n")
        if origin is not None:
            content = origin if isinstance(origin, str) else json.dumps(origin)
            (self._info / "direct_url.json").write_text(content)
        distribution = metadata.Distribution.at(self._info)
        return install_command("train", prefix=self.prefix, environ=environ, distribution=distribution)


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path / "project one" / ".venv")


def test_installed_by_uv_tool(installed: Installed) -> None:
    (installed.prefix / "uv-receipt.toml").touch()
    assert installed.command(by="uv") == "uv tool install --force 'negwb[train]'"


def test_installed_by_uv_tool_from_a_folder(installed: Installed) -> None:
    (installed.prefix / "uv-receipt.toml").touch()
    origin = {"url": "file:///src/negwb", "dir_info": {}}
    assert installed.command(by="uv", origin=origin) == ("uv tool install --force 'negwb[train] @ file:///src/negwb'")


def test_installed_by_pipx_from_a_repository(installed: Installed) -> None:
    (installed.prefix / "pipx_metadata.json").touch()
    origin = {"url": "https://example.org/negwb.git", "vcs_info": {"vcs": "git", "commit_id": "0" * 40}}
    assert installed.command(origin=origin) == (
        "pipx install --force 'negwb[train] @ git+https://example.org/negwb.git'"
    )


def test_a_checkout_with_uv(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = installed.prefix.parent
    origin = {"url": f"file://{str(folder).replace(' ', '%20')}", **EDITABLE}
    quoted = shlex.quote(str(folder))
    assert installed.command(by="uv", origin=origin) == f"uv sync --project {quoted} --inexact --extra train"
    monkeypatch.chdir(folder)
    assert installed.command(by="uv", origin=origin) == "uv sync --inexact --extra train"


def test_a_checkout_with_uv_in_another_environment(installed: Installed) -> None:
    python = shlex.quote(str(installed.prefix / "bin" / "python"))
    command = installed.command(by="uv", origin={"url": "file:///src/negwb", **EDITABLE})
    assert command == f"uv pip install --python {python} -e '/src/negwb[train]'"


def test_a_dependency_of_a_uv_project(installed: Installed) -> None:
    (installed.prefix.parent / "pyproject.toml").touch()
    quoted = shlex.quote(str(installed.prefix.parent))
    assert installed.command(by="uv") == f"uv add --project {quoted} 'negwb[train]'"


def test_installed_by_uv_pip(installed: Installed) -> None:
    python = shlex.quote(str(installed.prefix / "bin" / "python"))
    assert installed.command(by="uv") == f"uv pip install --python {python} 'negwb[train]'"


@pytest.mark.parametrize("by", ["pip", "conda", None])
def test_installed_by_pip(installed: Installed, by: str | None) -> None:
    python = shlex.quote(str(installed.prefix / "bin" / "python"))
    assert installed.command(by=by) == f"{python} -m pip install 'negwb[train]'"
    assert installed.command(by=by, VIRTUAL_ENV=str(installed.prefix)) == "pip install 'negwb[train]'"
    assert installed.command(by=by, VIRTUAL_ENV="/another") == f"{python} -m pip install 'negwb[train]'"


def test_a_checkout_with_pip(installed: Installed) -> None:
    origin = {"url": "file:///src/negwb", **EDITABLE}
    command = installed.command(origin=origin, VIRTUAL_ENV=str(installed.prefix))
    assert command == "pip install -e '/src/negwb[train]'"


@pytest.mark.parametrize("origin", ["", "{", "[]", '{"url": 3}', "{}"])
def test_a_damaged_origin_is_ignored(installed: Installed, origin: str) -> None:
    assert installed.command(origin=origin, VIRTUAL_ENV=str(installed.prefix)) == "pip install 'negwb[train]'"


WITHOUT = """
import importlib.util, sys
real = importlib.util.find_spec
missing = {"torch", "open_clip", "transformers", "textual_serve"}
importlib.util.find_spec = lambda name, package=None: None if name in missing else real(name, package)
sys.argv[0] = "negwb"
from workbench.cli import main
sys.exit(main())
"""


def negwb_without_extras(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that finds neither torch nor textual-serve."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *map(str, words)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("words", "extra"), [("train set-001", "train"), ("serve", "serve")])
def test_the_hint_is_the_install_command(tmp_path: Path, words: str, extra: str) -> None:
    assert negwb_without_extras("init", tmp_path / "ws").returncode == 0
    done = negwb_without_extras("-w", tmp_path / "ws", *words.split())
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[1].strip() == f"install it with: {install_command(extra)}"


def test_the_demo_checks_for_the_training_packages_first(tmp_path: Path) -> None:
    """With `--auto`, and without a terminal, the demo trains at its end."""
    for words in (("--auto",), ()):
        done = negwb_without_extras("demo", tmp_path / "demo", *words)
        assert done.returncode == 2, done.stderr
        assert done.stderr.splitlines() == [
            "negwb: models need torch and open_clip",
            f"       install it with: {install_command('train')}",
        ]
        assert not (tmp_path / "demo").exists()
