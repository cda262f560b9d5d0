"""Which audit labels a tuned prompt version has seen, so that none of them measures it.

A version with the table [tuned] has examples from one half of the images. All labels of this half count as seen, and
those of the images of its own examples, wherever they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from curation_db.generation.answer_cache import stored_prompts
from curation_db.generation.tuning_examples import gives_examples, recorded_decisions, stored_audit_key
from workbench.errors import UsageError
from workbench.generation.prompts.loader import PromptSet, parse_prompts


@dataclass(frozen=True, slots=True)
class SeenLabels:
    """What the tuned versions among some prompt sets have seen of this record."""

    key: bytes | None = None
    """The record's secret key."""
    examples: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Tuned version to the images of its examples."""
    foreign: Mapping[str, int] = field(default_factory=dict)
    """Tuned version to the number of its decisions that are not in this record."""
    edited: frozenset[str] = frozenset()
    """Tuned versions whose list of decisions does not agree with its hash: which labels they saw is not certain."""

    def includes(self, version: str, image_id: int) -> bool:
        """Whether the version has seen the labels of this image."""
        if version not in self.examples:
            return False
        return image_id in self.examples[version] or self.key is None or gives_examples(self.key, image_id)


def seen_labels(connection: Connection, prompts: Iterable[PromptSet] | None = None) -> SeenLabels:
    """Return what the prompt sets have seen; default: all sets whose text the record stores."""
    examples, foreign, edited = {}, {}, set()
    for each in _stored(connection) if prompts is None else prompts:
        if each.tuned is not None:
            recorded = recorded_decisions(connection, each.tuned.decisions)
            examples[each.version] = recorded.images
            if recorded.missing:
                foreign[each.version] = recorded.missing
            elif recorded.sha256 != each.tuned.decisions_sha256:
                edited.add(each.version)
    return SeenLabels(stored_audit_key(connection), examples, foreign, frozenset(edited))


def _stored(connection: Connection) -> Iterable[PromptSet]:
    for version, content in stored_prompts(connection):
        try:
            yield parse_prompts(content, version)
        except UsageError:  # written by another version of negwb
            continue
