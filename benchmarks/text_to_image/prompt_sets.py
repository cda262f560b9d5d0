"""Prompt sets of text-to-image: a negated prompt, and two questions to a judge about the picture that is made of it.

A file is CSV with the columns prompt, question1 and question2, or JSON lines or a JSON list of objects with these keys,
in upper or lower case. Question 1 asks for the subject (right answer: yes), question 2 for the negated thing (no). The
107 prompts of the NegationCLIP paper, as github.com of SpaceVLM has them, are such a JSON list. Does not import torch.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.errors import BenchError
from benchmarks.task import slices_of
from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.sanitize import counted, display_text

EVERYDAY: Final = "everyday"
"""Name of the own set that ships with negwb; its prompts are not those of the paper."""
COLUMNS: Final = ("prompt", "question1", "question2")
LONGEST: Final = 1_000
"""Most characters of a prompt or question; CLIP reads 77 tokens."""
_HINT: Final = f"a prompt set has the columns {', '.join(COLUMNS)}; an example: negwb apply prompts --csv"


class NegatedPrompt(NamedTuple):
    """A prompt with its questions to the judge."""

    id: str
    """The number of its row, from 1, as wide as the last one."""
    text: str
    subject: str
    """Is the subject there? The right answer is yes."""
    denied: str
    """Is the negated thing there? The right answer is no."""


@dataclass(frozen=True, slots=True)
class PromptSet:
    name: str
    """everyday, or the stem of the file."""
    prompts: tuple[NegatedPrompt, ...]
    sha256: str
    """Of the prompts and questions, whatever the format of the file."""


def read_prompt_set(name: str) -> PromptSet:
    """Read the set that ships with negwb (`EVERYDAY`) or the file `name`.

    Raises:
        BenchError: There is no such file, it cannot be parsed, or a row is invalid or repeats a prompt. The message
            names the first such row and their number.
    """
    if name == EVERYDAY:
        content = resources.files("benchmarks.text_to_image").joinpath(f"{EVERYDAY}.csv").read_bytes()
        return _checked(EVERYDAY, EVERYDAY, _csv_rows(content))
    path = Path(name).expanduser()
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        hint = f"name a file, or the set that ships with negwb: {EVERYDAY}"
        raise BenchError(f"there is no prompt set {display_text(name, limit=200)}", hint=hint) from error
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror or error}") from error
    return _checked(path.stem, str(path), _rows(path, content))


def _rows(path: Path, content: bytes) -> Iterator[tuple[str, object]]:
    """Yield each row with its place, for messages."""
    try:
        match path.suffix.lower():
            case ".csv":
                yield from _csv_rows(content)
            case ".jsonl" | ".ndjson":
                yield from _json_lines(content)
            case ".json":
                rows = parse_json(content)
                if not isinstance(rows, list):
                    raise JsonError("expected a list of prompts")
                yield from ((f"entry {number}", row) for number, row in enumerate(rows, 1))
            case suffix:
                raise BenchError(f"{path}: {suffix or 'a file without an ending'} is not .csv, .json or .jsonl")
    except (JsonError, UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{path} cannot be read: {error}", hint=_HINT) from error


def _csv_rows(content: bytes) -> Iterator[tuple[str, object]]:
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    for row in reader:
        yield f"line {reader.line_num}", row


def _json_lines(content: bytes) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(content.decode("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", parse_json(line)
        except JsonError as error:
            raise JsonError(f"line {number}: {error}") from error


def _checked(name: str, where: str, rows: Iterator[tuple[str, object]]) -> PromptSet:
    """Return the set of valid rows.

    Raises:
        BenchError: A row is invalid, two have the same prompt, or there is none.
    """
    found: dict[str, tuple[str, str, str]] = {}
    problems: list[str] = []
    for place, row in rows:
        try:
            texts = _texts(row)
            if texts[0] in found:
                raise ValueError("an earlier row has this prompt")
            found[texts[0]] = texts
        except ValueError as error:
            problems.append(f"{place}: {error}")
    if problems:
        more = f" (and {counted(len(problems) - 1, 'other row')})" if len(problems) > 1 else ""
        raise BenchError(f"{where}, {problems[0]}{more}", hint=_HINT)
    if not found:
        raise BenchError(f"{where} has no prompts", hint=_HINT)
    width = len(str(len(found)))
    prompts = tuple(NegatedPrompt(f"{at:0{width}d}", *texts) for at, texts in enumerate(found.values(), 1))
    lines = "\0".join("\0".join(texts) for texts in found.values())
    sha256 = hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()
    return PromptSet(name, prompts, sha256)


def _texts(row: object) -> tuple[str, str, str]:
    if not isinstance(row, Mapping):
        raise ValueError("expected an object")
    values: dict[str, Any] = {str(key).strip().lower(): value for key, value in row.items()}
    texts = []
    for column in COLUMNS:
        text = values.get(column)
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{column} is missing")
        if len(text) > LONGEST:
            raise ValueError(f"{column} has more than {LONGEST:,} characters")
        texts.append(text.strip())
    return texts[0], texts[1], texts[2]


def csv_text(prompts: PromptSet) -> str:
    """Return the set as the content of a CSV file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((each.text, each.subject, each.denied) for each in prompts.prompts)
    return out.getvalue()


def cues_of(prompts: PromptSet) -> dict[str, int]:
    """Return the number of prompts by their first negation cue, the most frequent cue first."""
    counts: dict[str, int] = {}
    for prompt in prompts.prompts:
        cue = slices_of(prompt.text)["cue"]
        counts[cue] = counts.get(cue, 0) + 1
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
