"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from curation_db.enums import PersonRole
from workbench.workspace.choices import ImageMode

AnnotatorOption = Annotated[
    str | None, typer.Option("--annotator", "-a", help="Name of the annotator [default: your login name].")
]
ReadonlyOption = Annotated[
    bool, typer.Option("--readonly", help="Look at the record; decide and write nothing, also on a read-only disk.")
]
RoleOption = Annotated[
    PersonRole | None, typer.Option(help="Set your role.", show_default="the stored role; annotator at first")
]
ImagesOption = Annotated[
    ImageMode | None, typer.Option(help="How to draw images; auto detects what the terminal supports.")
]
