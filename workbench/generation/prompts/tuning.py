"""The next version of a prompt set, with decisions of people as examples. Pure.

The examples are a block in the first message of the stages that propose and rewrite. A block of an earlier tuning is
replaced. Stages of judges stay as they are: their examples would need the images. The table [tuned] of the file names
the events of the decisions, so that everybody can check which labels the prompt has seen.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import unified_diff
from typing import Any, Final

from curation_db.enums import REASON_TEXTS, Reason
from curation_db.generation.tuning_examples import TuningExample, decisions_hash
from workbench.errors import UsageError
from workbench.generation.prompts.loader import PromptSet, parse_prompts

_BEGIN: Final = "Decisions of people about earlier answers:"
_END: Final = "End of the earlier answers."
_BLOCK: Final = re.compile(rf"\n*{re.escape(_BEGIN)}\n.*?{re.escape(_END)}\n*", re.DOTALL)
_PROPOSING: Final = ("propose", "propose-again", "propose-random")
_REWRITING: Final = "rewrite"
_CONCEPT_REASONS: Final = frozenset({Reason.PRESENT, Reason.GRATUITOUS})
"""Reasons that speak against the concept and not against the text."""
_TEXT_REASONS: Final = frozenset({Reason.REST_FALSE, Reason.UNGRAMMATICAL, Reason.SCOPE})
_NUMBER: Final = re.compile(r"(.*?)-(\d{1,6})")


def usable_reasons(prompts: PromptSet) -> frozenset[Reason]:
    """Return the reasons of rejections that a stage of the set can do something about."""
    return _TEXT_REASONS | (_CONCEPT_REASONS if _proposing(prompts) else frozenset())


def next_name(name: str, taken: Collection[str]) -> str:
    """Return the name of the next version: negwb-p1-1 gives negwb-p1-2, mine gives mine-2; taken names are passed."""
    match = _NUMBER.fullmatch(name)
    stem, number = (match[1], int(match[2])) if match else (name, 1)
    while f"{stem}-{number + 1}" in taken:
        number += 1
    return f"{stem}-{number + 1}"


def tuned_content(base: PromptSet, examples: Sequence[TuningExample], *, name: str, seed: int) -> str:
    """Return the text of the file with the next version.

    Raises:
        UsageError: the set has no place for examples, or the name is not allowed.
    """
    import tomlkit  # noqa: PLC0415

    document = tomlkit.parse(base.content)
    document["name"] = name
    document["source"] = f"{base.version}, tuned"
    for stage, block in _blocks(base, examples):
        table: Any = document[stage]
        message = table["messages"][0]
        message["text"] = _text(_with_block(str(message["text"]), block, first=message["role"] != "system"))
        if "raw" in table:
            table["raw"] = _text(_with_block(str(table["raw"]), block, first=True))
    document.pop("tuned", None)
    tuned = tomlkit.table()
    tuned["base"] = base.version
    tuned["seed"] = seed
    tuned["decisions"] = tomlkit.item(sorted(each.uid for each in examples)).multiline(True)
    tuned["decisions_sha256"] = decisions_hash(examples)
    document["tuned"] = tuned
    content = tomlkit.dumps(document)
    parse_prompts(content, name)
    return content


def _text(text: str) -> Any:
    import tomlkit  # noqa: PLC0415

    return tomlkit.string(text, multiline="\n" in text)


def diff_lines(before: PromptSet, after: PromptSet) -> list[tuple[str, str]]:
    """Return the difference of the files as (mark, line): "+", "-" or " ", and "@" for a new place."""
    lines = unified_diff(before.content.splitlines(), after.content.splitlines(), lineterm="", n=1)
    return [(line[:1], line[1:]) for line in lines if not line.startswith(("---", "+++"))]


def _proposing(prompts: PromptSet) -> list[str]:
    return [stage for stage in _PROPOSING if stage in prompts.stages]


def _blocks(base: PromptSet, examples: Sequence[TuningExample]) -> Iterator[tuple[str, str]]:
    proposing = _proposing(base)
    concepts = [each for each in examples if each.accepted or each.reason in _CONCEPT_REASONS]
    texts = [each for each in examples if each.accepted or each.reason in _TEXT_REASONS]
    for stage in proposing:
        if "caption" in _placeholders(base, stage):
            yield stage, _block(concepts, whole=False)
    yield _REWRITING, _block(texts, whole=True)


def _placeholders(base: PromptSet, stage: str) -> set[str]:
    return {name for message in base.stages[stage].messages for name in re.findall(r"\{([A-Za-z_]+)\}", message.text)}


def _block(examples: Sequence[TuningExample], *, whole: bool) -> str:
    """Return the lines of the examples; `whole`: with the rewritten caption, else the concept alone."""
    if not examples:
        return ""
    lines = [_BEGIN]
    for each in examples:
        answer = f'not there: {each.concept}; answer: "{each.text}"' if whole else f"answer: {each.concept}"
        lines.append(f'- {_judgement(each)} Caption: "{each.caption}"; {answer}')
    return "\n".join([*lines, _END])


def _judgement(example: TuningExample) -> str:
    if example.accepted:
        return "Accepted."
    return f"Rejected, {REASON_TEXTS[example.reason]}." if example.reason else "Rejected."


def _with_block(text: str, block: str, *, first: bool) -> str:
    """Return the text with this block in place of an earlier one; `first`: before the text, else after it."""
    plain = _BLOCK.sub("", text)
    if not block:
        return plain
    return f"{block}\n\n{plain}" if first else f"{plain}\n\n{block}"


def check_tunable(prompts: PromptSet) -> None:
    """Check that the set has a stage that can take examples.

    Raises:
        UsageError: its texts contain the first line of the block, but no complete block.
    """
    for stage in prompts.stages.values():
        for message in stage.messages:
            if _BEGIN in _BLOCK.sub("", message.text):
                raise UsageError(
                    f"the prompt set {prompts.name} has a damaged block of examples",
                    hint=f'each line "{_BEGIN}" needs a line "{_END}" after its examples',
                )
