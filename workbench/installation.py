"""How this copy of negwb was installed, and the command that adds an optional part to it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from curation_db.foreign_json import parse_json

_NAME = "negwb"


def install_hint(extra: str) -> str:
    """The hint of an error that a part of negwb is missing.

    Args:
        extra: The part, as pyproject.toml calls it: train, serve ...
    """
    return f"install it with: {install_command(extra)}"


def install_command(
    extra: str,
    *,
    prefix: Path | None = None,
    environ: Mapping[str, str] | None = None,
    distribution: metadata.Distribution | None = None,
) -> str:
    """The command that adds `extra` to this copy, by the tool that installed it, for a shell.

    Args:
        extra: The part.
        prefix: The environment; that of this process unless given.
        environ: Its variables.
        distribution: negwb as it is installed there.
    """
    prefix = prefix or Path(sys.prefix)
    environ = os.environ if environ is None else environ
    distribution = distribution or _own_distribution()
    origin = _origin(distribution)
    wanted = shlex.quote(_requirement(extra, origin))
    if (prefix / "uv-receipt.toml").is_file():
        return f"uv tool install --force {wanted}"
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx install --force {wanted}"
    checkout, by_uv = _checkout(origin), _installer(distribution) == "uv"
    if by_uv and checkout is not None and prefix.parent.resolve() == checkout.resolve():
        return _of_project("sync", f"--inexact --extra {extra}", checkout)
    if by_uv and checkout is None and (prefix.parent / "pyproject.toml").is_file():
        return _of_project("add", wanted, prefix.parent)
    python = shlex.quote(str(prefix / "bin" / "python"))
    what = f"-e {shlex.quote(f'{checkout}[{extra}]')}" if checkout is not None else wanted
    if by_uv:
        return f"uv pip install --python {python} {what}"
    active = environ.get("VIRTUAL_ENV") and Path(environ["VIRTUAL_ENV"]) == prefix
    return f"pip install {what}" if active else f"{python} -m pip install {what}"


def _own_distribution() -> metadata.Distribution | None:
    try:
        return metadata.distribution(_NAME)
    except metadata.PackageNotFoundError:  # run from a folder that was never installed
        return None


def _installer(distribution: metadata.Distribution | None) -> str:
    told = distribution.read_text("INSTALLER") if distribution is not None else None
    return (told or "").strip()


def _origin(distribution: metadata.Distribution | None) -> dict[str, Any]:
    """The content of direct_url.json (PEP 610); empty for a copy that comes from a package index."""
    told = distribution.read_text("direct_url.json") if distribution is not None else None
    try:
        origin = parse_json(told or "{}")
    except ValueError:
        return {}
    return origin if isinstance(origin, dict) and isinstance(origin.get("url"), str) else {}


def _requirement(extra: str, origin: Mapping[str, Any]) -> str:
    """The requirement of PEP 508 that names this copy with the extra."""
    if not origin:
        return f"{_NAME}[{extra}]"
    vcs = origin.get("vcs_info")
    url = f"{vcs.get('vcs', 'git')}+{origin['url']}" if isinstance(vcs, dict) else origin["url"]
    return f"{_NAME}[{extra}] @ {url}"


def _checkout(origin: Mapping[str, Any]) -> Path | None:
    """The folder of which this copy is an editable installation."""
    details = origin.get("dir_info")
    if not (isinstance(details, dict) and details.get("editable") is True):
        return None
    return Path(unquote(urlsplit(str(origin["url"])).path))


def _of_project(command: str, words: str, folder: Path) -> str:
    """A command of uv about the project in `folder`."""
    where = "" if _is_current(folder) else f" --project {shlex.quote(str(folder))}"
    return f"uv {command}{where} {words}"


def _is_current(folder: Path) -> bool:
    try:
        return Path.cwd() == folder.resolve()
    except OSError:
        return False
