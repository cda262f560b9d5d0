"""The command that adds an extra (train, serve ...) to this installation of negwb."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from curation_db.foreign_json import parse_json

if TYPE_CHECKING:
    from importlib import metadata

_NAME = "negwb"


def install_hint(extra: str) -> str:
    """Return the hint of an error about a missing extra of pyproject.toml."""
    return f"install it with: {install_command(extra)}"


def install_command(
    extra: str,
    *,
    prefix: Path | None = None,
    environ: Mapping[str, str] | None = None,
    distribution: metadata.Distribution | None = None,
) -> str:
    """Return the shell command that adds an extra, for the tool that installed negwb.

    Args:
        prefix: The Python environment; that of this process unless given.
        environ: The environment variables; those of this process unless given.
        distribution: The installed negwb; that of this process unless given.
    """
    prefix = prefix or Path(sys.prefix)
    environ = os.environ if environ is None else environ
    distribution = distribution or _own_distribution()
    origin = _origin(distribution)
    requirement = shlex.quote(_requirement(extra, origin))
    if (prefix / "uv-receipt.toml").is_file():
        return f"uv tool install --force {requirement}"
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx install --force {requirement}"
    checkout, by_uv = _checkout(origin), _installer(distribution) == "uv"
    if by_uv and checkout is not None and prefix.parent.resolve() == checkout.resolve():
        return _uv_project_command("sync", f"--inexact --extra {extra}", checkout)
    if by_uv and checkout is None and (prefix.parent / "pyproject.toml").is_file():
        return _uv_project_command("add", requirement, prefix.parent)
    python = shlex.quote(str(prefix / "bin" / "python"))
    target = f"-e {shlex.quote(f'{checkout}[{extra}]')}" if checkout is not None else requirement
    if by_uv:
        return f"uv pip install --python {python} {target}"
    active = environ.get("VIRTUAL_ENV") and Path(environ["VIRTUAL_ENV"]) == prefix
    return f"pip install {target}" if active else f"{python} -m pip install {target}"


def _own_distribution() -> metadata.Distribution | None:
    from importlib import metadata  # noqa: PLC0415 -- a tenth of the time of `negwb --help`

    try:
        return metadata.distribution(_NAME)
    except metadata.PackageNotFoundError:  # run from a folder without an installation
        return None


def _installer(distribution: metadata.Distribution | None) -> str:
    name = distribution.read_text("INSTALLER") if distribution is not None else None
    return (name or "").strip()


def _origin(distribution: metadata.Distribution | None) -> dict[str, Any]:
    """Return the content of direct_url.json (PEP 610); empty for an installation from a package index."""
    text = distribution.read_text("direct_url.json") if distribution is not None else None
    try:
        origin = parse_json(text or "{}")
    except ValueError:
        return {}
    return origin if isinstance(origin, dict) and isinstance(origin.get("url"), str) else {}


def _requirement(extra: str, origin: Mapping[str, Any]) -> str:
    """Return the requirement (PEP 508) of this installation with the extra."""
    if not origin:
        return f"{_NAME}[{extra}]"
    vcs = origin.get("vcs_info")
    url = f"{vcs.get('vcs', 'git')}+{origin['url']}" if isinstance(vcs, dict) else origin["url"]
    return f"{_NAME}[{extra}] @ {url}"


def _checkout(origin: Mapping[str, Any]) -> Path | None:
    """Return the folder of an editable installation."""
    details = origin.get("dir_info")
    if not (isinstance(details, dict) and details.get("editable") is True):
        return None
    return Path(unquote(urlsplit(str(origin["url"])).path))


def _uv_project_command(command: str, arguments: str, folder: Path) -> str:
    where = "" if _is_current(folder) else f" --project {shlex.quote(str(folder))}"
    return f"uv {command}{where} {arguments}"


def _is_current(folder: Path) -> bool:
    try:
        return Path.cwd() == folder.resolve()
    except OSError:
        return False
