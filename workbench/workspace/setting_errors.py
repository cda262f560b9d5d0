"""Conversion of the problems of a settings table to one error: what is wrong, in which line, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from curation_db.validation import Path, Problem, ProblemKind, ValidationError, key_text
from workbench.errors import UsageError

_EXAMPLES: Mapping[Path, str] = {
    ("pictures",): 'coco = ["../coco/train2014"]',
    ("browse", "views"): 'doubtful = "state:open"',
    ("curate", "keys"): 'accept = "a,f5"',
    ("generate", "judges"): 'judges = ["llava", "annotations"]',
    ("lint", "off"): 'off = ["over-frequent"]',
}


def settings_error(error: ValidationError, where: str, text: str = "") -> UsageError:
    """Return an error with the first problem as its message; its hint lists the keys of the others.

    Args:
        where: The beginning of the message: the file with a colon, or an option.
        text: The content of the file, for the line of the key.
    """
    first, *others = error.problems
    hint = _hint(first)
    if others:
        hint += f"; also wrong: {', '.join(dict.fromkeys(each.key for each in others))}"
    return UsageError(f"{where} {_message(first)}{_line(first.path, text)}", hint=hint)


def _message(problem: Problem) -> str:
    table, key = _split(problem.path)
    prefix = f"[{key_text(table)}] " if table else ""
    if problem.kind is ProblemKind.UNKNOWN:
        return f"{prefix}has no setting {problem.path[-1]!r}"
    if problem.kind is ProblemKind.MISSING:
        return f"{prefix}has no {key_text(key)}"
    suffix = ": a table is expected" if problem.expected == "a table" else ""
    return f"{prefix}{key_text(key)} = {problem.shown}{suffix}"


def _hint(problem: Problem) -> str:
    if problem.kind is ProblemKind.UNKNOWN:
        return f"did you mean {problem.suggestion}?" if problem.suggestion else f"known: {problem.expected}"
    if problem.expected == "a table":
        return f"begin a table with the line [{key_text(problem.path)}]"
    expected = problem.expected if problem.expected.startswith("one of") else f"expected: {problem.expected}"
    example = next((text for path, text in _EXAMPLES.items() if problem.path[: len(path)] == path), "")
    return f"{expected}, as in: {example}" if example else expected


def _split(path: Path) -> tuple[Path, Path]:
    """Split a path into the table and the key within it, with its list indices."""
    end = next((i for i, part in enumerate(path) if isinstance(part, int)), len(path)) - 1
    return path[:end], path[end:]


def _line(path: Path, text: str) -> str:
    from workbench.workspace.toml.toml_edit import line_of  # noqa: PLC0415 -- only for an error

    line = line_of(text, *(part for part in path if isinstance(part, str))) if text else None
    return f" (line {line})" if line else ""
