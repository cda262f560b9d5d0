"""The annotation guidelines: the Markdown file of the workspace, or the default text of negwb."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from curation_db.language.sanitize import clean
from workbench.workspace.layout import Workspace

MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Guidelines:
    text: str
    """Markdown without control characters."""
    own: bool
    """Whether the text is that of the workspace."""
    problem: str = ""
    """Why the file of the workspace could not be read; `text` is the default then."""


def shipped_guidelines() -> str:
    """Return the default text, which a new workspace gets."""
    return files("workbench").joinpath("data/guidelines.md").read_text(encoding="utf-8")


def read_guidelines(workspace: Workspace) -> Guidelines:
    """Return the text of guidelines.md, or the default if the file is missing or cannot be shown."""
    path = workspace.guidelines
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Guidelines(shipped_guidelines(), own=False)
    except OSError as error:
        return Guidelines(shipped_guidelines(), own=False, problem=f"{path.name}: {error.strerror or error}")
    if len(raw) > MAX_BYTES:
        return Guidelines(shipped_guidelines(), own=False, problem=f"{path.name} is larger than 1 MB")
    return Guidelines(clean(raw.decode("utf-8", "replace")), own=True)
