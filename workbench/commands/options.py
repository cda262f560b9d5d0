"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from curation_db.enums import PersonRole
from workbench.workspace.settings.choices import ImageMode

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
JudgesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        metavar="ENGINE",
        help="Engine that answers the questions; repeatable.",
        show_default="judges in negwb.toml",
    ),
]
BlindJudgesOption = Annotated[
    bool, typer.Option("--allow-blind", help="Use judges that were proved not to see images.")
]
JudgeRequestsOption = Annotated[
    int | None, typer.Option("--max-requests", min=1, metavar="N", help="Stop after so many requests to judges.")
]
JudgeCostOption = Annotated[
    float | None,
    typer.Option("--max-cost", min=0, metavar="COST", help="Stop when the judges' answers have cost this much."),
]
RunBlindJudgesOption = Annotated[
    bool, typer.Option("--allow-blind", help="Use judges that do not see images, as the probe proved.")
]
RunRequestsOption = Annotated[int | None, typer.Option(min=1, help="Stop after this number of requests.")]
RunTokensOption = Annotated[
    int | None, typer.Option(min=1, help="Stop before this number of tokens is exceeded; see --max-cost.")
]
RunCostOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        help="Stop before the cost, with requests in flight at their most, exceeds this; prices: negwb.toml.",
    ),
]
