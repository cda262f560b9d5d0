"""`negwb apply prompts`: the prompt sets of text-to-image."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from workbench.errors import UsageError

EPILOG = """\b
Examples:
  negwb apply prompts
  negwb apply prompts mine.csv                           check a file of your own
  negwb apply prompts --csv > mine.csv                   a template to edit

\b
A prompt set is a CSV file with the columns prompt, question1 and question2, or a .json or .jsonl file with these keys.
Question 1 asks for the subject (right answer: yes), question 2 for the negated thing (right answer: no).
"""


def prompts(
    name: Annotated[str, typer.Argument(metavar="[SET]", help="A prompt set or its file.")] = "everyday",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the set as CSV, as a template for your own.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the prompts of a set with their questions, and check the file.

    The set everyday ships with negwb: 40 prompts on everyday subjects, written for negwb. It is not the set of the
    NegationCLIP paper.
    """
    from benchmarks.text_to_image.prompt_sets import COLUMNS, csv_text, cues_of, read_prompt_set
    from curation_db.language.sanitize import counted
    from workbench.console.tables import Listing, show

    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other")
    found = read_prompt_set(name)
    if as_csv:
        typer.echo(csv_text(found), nl=False)
    elif as_json:
        rows = [
            {"id": each.id, "prompt": each.text, "question1": each.subject, "question2": each.denied}
            for each in found.prompts
        ]
        typer.echo(json.dumps({"name": found.name, "sha256": found.sha256, "cues": cues_of(found), "prompts": rows}))
    else:
        cues = ", ".join(f"{cue} {count}" for cue, count in cues_of(found).items())
        title = f"{found.name}: {counted(len(found.prompts), 'prompt')}; cues: {cues}"
        show([Listing(title, ("id", *COLUMNS), [tuple(each) for each in found.prompts], left=4)])
