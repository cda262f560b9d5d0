"""The enumerations of the record and of generation. Imports only the standard library."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"
    UNSURE = "unsure"
    SKIP = "skip"
    FLAG = "flag"
    NOTE = "note"
    EDIT = "edit"
    """The candidate is replaced by a child with the editor's text."""
    UNDO = "undo"
    """Reverts the event in `undo_of`; the undo of an undo is a redo."""
    REQUEUE = "requeue"
    """Earlier votes no longer count."""
    ADJUDICATE = "adjudicate"
    """Final decision of an adjudicator, in the event's `verdict`."""
    WITHDRAW = "withdraw"
    """A policy withdraws its acceptance, or an undone edit withdraws its child."""
    FLIP = "flip"
    """Change of a decision after the judges' verdicts were revealed; the new decision is the event's `verdict`."""
    TWIN = "twin"
    """Answer to a probe: whether the affirmed twin of the caption, in the event's `note`, is true of the image. The
    `verdict` is accept for true and reject for false."""
    PARAPHRASE = "paraphrase"
    """Answer to a probe: as `TWIN`, about the caption with its negation in other words."""


PROBES = (Kind.TWIN, Kind.PARAPHRASE)
"""Kinds of answers to a probe. They are no decisions: neither state nor agreement depends on them."""


class State(StrEnum):
    """State of a candidate: a pure fold of its events."""

    OPEN = "open"
    NEEDS_MORE = "needs_more"
    CONTESTED = "contested"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNSURE = "unsure"
    SUPERSEDED = "superseded"


class Reason(StrEnum):
    """Why a candidate is rejected. The key after `x` is in `REASON_KEYS`."""

    PRESENT = "present"
    """The negated concept is in the image."""
    REST_FALSE = "rest_false"
    """Another part of the caption is false."""
    GRATUITOUS = "gratuitous"
    """The negation is true but irrelevant to the image."""
    UNGRAMMATICAL = "ungrammatical"
    SCOPE = "scope"
    """Ambiguous: the scope of the negation is unclear."""
    DUPLICATE = "duplicate"
    BAD_IMAGE = "bad_image"


REASON_KEYS: dict[str, Reason] = {
    "p": Reason.PRESENT,
    "r": Reason.REST_FALSE,
    "g": Reason.GRATUITOUS,
    "u": Reason.UNGRAMMATICAL,
    "s": Reason.SCOPE,
    "d": Reason.DUPLICATE,
    "b": Reason.BAD_IMAGE,
}

# close to the table of the guidelines (workbench/data/guidelines.md)
REASON_TEXTS: dict[Reason, str] = {
    Reason.PRESENT: "the negated thing is there",
    Reason.REST_FALSE: "something else is false",
    Reason.GRATUITOUS: "true, but nobody says it",
    Reason.UNGRAMMATICAL: "not good English",
    Reason.SCOPE: "unclear what is negated",
    Reason.DUPLICATE: "says the same as another",
    Reason.BAD_IMAGE: "image missing or unusable",
}

DECISION_TEXTS: dict[Kind, str] = {
    Kind.ACCEPT: "true of the image, and natural",
    Kind.REJECT: "false or unnatural; one more key: the reason",
    Kind.UNSURE: "you cannot decide: others decide first",
    Kind.SKIP: "not now: it comes back later, or to others",
}
"""What the decisions mean, in the words of keys, help and plain mode."""


class Cause(StrEnum):
    """Cause of a disagreement, chosen by the adjudicator (error list of Potato). The key is in `CAUSE_KEYS`."""

    AMBIGUOUS_TEXT = "ambiguous_text"
    GUIDELINE_GAP = "guideline_gap"
    ANNOTATOR_SLIP = "annotator_slip"
    EDGE_CASE = "edge_case"
    SUBJECTIVE = "subjective"
    OTHER = "other"


CAUSE_KEYS: dict[str, Cause] = {
    "t": Cause.AMBIGUOUS_TEXT,
    "g": Cause.GUIDELINE_GAP,
    "s": Cause.ANNOTATOR_SLIP,
    "e": Cause.EDGE_CASE,
    "j": Cause.SUBJECTIVE,
    "o": Cause.OTHER,
}

CAUSE_TEXTS: dict[Cause, str] = {
    Cause.AMBIGUOUS_TEXT: "the text is ambiguous",
    Cause.GUIDELINE_GAP: "guidelines do not cover it",
    Cause.ANNOTATOR_SLIP: "an annotator made a mistake",
    Cause.EDGE_CASE: "neither yes nor no",
    Cause.SUBJECTIVE: "a matter of judgement",
    Cause.OTHER: "another cause",
}


class Stream(StrEnum):
    """Queue that a card comes from."""

    REVIEW = "review"
    AUDIT = "audit"


class Role(StrEnum):
    ANNOTATOR = "annotator"
    ADJUDICATOR = "adjudicator"
    POLICY = "policy"
    SYSTEM = "system"


class PersonRole(StrEnum):
    """The roles of people, a part of `Role`."""

    ANNOTATOR = Role.ANNOTATOR
    ADJUDICATOR = Role.ADJUDICATOR


class NegationType(StrEnum):
    """Kind of what a caption negates."""

    ABSENCE = "absence"
    ACTION = "action"
    ATTRIBUTE = "attribute"
    RELATION = "relation"
    OTHER = "other"


class Question(StrEnum):
    """Question to a judge. The two have opposite meanings: P(present) is high for a bad candidate."""

    PRESENT = "present"
    """Is the negated concept in the image? The verdict's p is P(present)."""
    ACCEPTABLE = "acceptable"
    """Is the whole caption true and well formed? The verdict's p is P(acceptable)."""


class PictureShown(StrEnum):
    """How a card's image was shown at the decision."""

    NONE = "none"
    """Not shown: no file, a failure, or plain mode."""
    CELLS = "cells"
    """Half-cell characters (two pixels per cell)."""
    PIXELS = "pixels"
    """Graphics of the terminal (Kitty, sixel)."""


class GapCause(StrEnum):
    """Why event numbers have no event."""

    EXPORT = "export"
    """An export took the number, because of imports since the newest event (`event_clock`)."""
    RESTORE = "restore"
    """The numbers belong to events of a record that a restore replaced."""
    MIGRATION = "migration"
    """The gap is older than the recording of gaps (schema 0004)."""


class Stage(StrEnum):
    """Step of a pipeline that sends a request to a model."""

    PROPOSE = "propose"
    """Which concept could be missing?"""
    PRESENCE = "presence"
    """Is the concept in the image?"""
    PRIOR = "prior"
    """The question of `PRESENCE` about a blank image: the judge's answer without visual evidence."""
    REWRITE = "rewrite"
    """Add the negation to the caption."""
    ACCEPTABLE = "acceptable"
    """Is the whole caption true and well formed?"""


class Method(StrEnum):
    """Source of a probability, best first."""

    LOGPROBS = "logprobs"
    """Log-probabilities of the answer's first token, summed over the beginnings of yes and no."""
    DECISION = "decision"
    """Typed decision of the server (`/v1/systemone`)."""
    SAMPLES = "samples"
    """Share of yes among k sampled answers."""
    BARE = "bare"
    """One text answer, yes or no."""
    SCORE = "score"
    """A score instead of a text answer: CLIP's margin, an annotation."""


EDITED = "edit"
"""Pipeline of candidates that a person wrote by an edit; their generator is the name of that person."""

BENCHMARK = "benchmark"
"""Pipeline of candidates that review the judge of a benchmark. Exports leave them and their edits out by default."""

BLIND_SUFFIX = "/blind"
"""Follows the method of a verdict whose judge was proved not to see images."""


class AnswerStatus(StrEnum):
    """Status of a request to a model."""

    PENDING = "pending"
    """In a batch request file; without an answer yet."""
    OK = "ok"
    FAILED = "failed"
    """No usable answer; sent again when the item is tried again."""


class ItemStatus(StrEnum):
    """Result of a caption or a question in a pipeline."""

    KEPT = "kept"
    """The pipeline created a candidate."""
    DROPPED = "dropped"
    """The pipeline ended without a candidate."""
    FAILED = "failed"
    """A model did not answer, or the image is missing; tried again with --retry."""


class GenerationState(StrEnum):
    """State of a run of `negwb generate`."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    """Stopped by a person, a budget or a limit; the same command continues the run."""
    FAILED = "failed"
    """An engine was not reachable, or there was a bug."""


class StopReason(StrEnum):
    """Why a run of `negwb generate` stopped before its end."""

    BUDGET = "budget"
    """The run reached a cap on requests, tokens or cost."""
    REQUEST = "request"
    """A person or a signal stopped it."""


class ConsensusMethod(StrEnum):
    """How the votes of several people on one candidate are combined."""

    MAJORITY = "majority"
    DAWID_SKENE = "dawid-skene"
    """Each vote has the weight of its annotator, whose errors are estimated (Dawid & Skene 1979)."""


class Claim(StrEnum):
    """What an automatic acceptance claims of a candidate."""

    ACCEPTABLE = "acceptable"
    """A person accepts it."""
    ABSENT = "absent"
    """The negated concept is not in the image."""
