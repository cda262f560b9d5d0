"""Errors of a settings table: what is wrong, in which line, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curation_db.validation import Path, Problem, ProblemKind, ValidationError, key_text
from workbench.errors import UsageError

_EXAMPLES: Mapping[Path, str] = {
    ("pictures",): 'coco = ["../coco/train2014"]',
    ("browse", "views"): 'doubtful = "state:open"',
    ("curate", "keys"): 'accept = "a,f5"',
    ("generate", "judges"): 'judges = ["llava", "annotations"]',
    ("lint", "off"): 'off = ["over-frequent"]',
}


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One wrong setting."""

    path: Path
    """Its key, or its table."""
    message: str
    hint: str = ""


class SettingsError(UsageError):
    """Wrong settings. The message is about the first of `problems`; the hint lists the keys of the others."""

    def __init__(self, problems: Sequence[SettingProblem], where: str, text: str = "") -> None:
        """Args:
        where: The beginning of the message: the file with a colon, or an option.
        text: The content of the file, for the line of the key.
        """
        first, *others = problems
        hint = first.hint
        if others:
            hint += f"; also wrong: {', '.join(dict.fromkeys(key_text(each.path) for each in others))}"
        line = line_of_problem(first, text) if text else None
        super().__init__(f"{where} {first.message}{f' (line {line})' if line else ''}", hint=hint)
        self.problems = tuple(problems)


def settings_error(error: ValidationError, where: str, text: str = "") -> SettingsError:
    """Return the error for values that do not fit their types; `where` and `text` as for `SettingsError`."""
    return SettingsError(
        [SettingProblem(each.path, _message(each), _hint(each)) for each in error.problems], where, text
    )


def line_of_problem(problem: SettingProblem, text: str) -> int | None:
    """Return the line of the key, or the header of its table, in the TOML `text`."""
    from workbench.workspace.settings.toml_edit import line_of_key_or_header  # noqa: PLC0415 -- only for an error

    return line_of_key_or_header(text, tuple(part for part in problem.path if isinstance(part, str)))


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
