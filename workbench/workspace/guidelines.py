"""The annotation guidelines: a Markdown file of the workspace, or the one that negwb brings along."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from curation_db.language.sanitize import clean
from workbench.workspace.layout import Workspace

MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Guidelines:
    """What is shown."""

    text: str
    """Markdown without control characters."""
    own: bool
    """The workspace's own."""
    problem: str = ""
    """Why the workspace's own could not be read; then `text` is negwb's."""


def shipped_guidelines() -> str:
    """The text that a new workspace gets."""
    return files("workbench").joinpath("data/guidelines.md").read_text(encoding="utf-8")


def read_guidelines(workspace: Workspace) -> Guidelines:
    """The workspace's guidelines.md; negwb's own where there is none or it cannot be shown."""
    path = workspace.guidelines
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return Guidelines(shipped_guidelines(), own=False)
    except OSError as error:
        return Guidelines(shipped_guidelines(), own=False, problem=f"{path.name}: {error.strerror or error}")
    if len(raw) > MOST_BYTES:
        return Guidelines(shipped_guidelines(), own=False, problem=f"{path.name} is larger than 1 MB")
    return Guidelines(clean(raw.decode("utf-8", "replace")), own=True)
