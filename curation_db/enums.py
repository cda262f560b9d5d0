"""The enumerations of the record and of generation. Imports only the standard library."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What an event says."""

    ACCEPT = "accept"
    REJECT = "reject"
    UNSURE = "unsure"
    SKIP = "skip"
    FLAG = "flag"
    NOTE = "note"
    EDIT = "edit"
    """The candidate is replaced by a child with the editor's text."""
    UNDO = "undo"
    """Takes back the event it names; undoing an undo is redo."""
    REQUEUE = "requeue"
    """Earlier votes no longer count."""
    ADJUDICATE = "adjudicate"
    """An adjudicator's final word; its verdict is the event's `verdict`."""
    WITHDRAW = "withdraw"
    """An actor takes back what it put in: a policy its acceptance, an editor the child of an undone edit."""
    FLIP = "flip"
    """A change of mind after a reveal; its verdict is the event's `verdict`."""


class State(StrEnum):
    """Where a candidate stands: a pure fold of its events."""

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
    """The negated thing is in the picture."""
    REST_FALSE = "rest_false"
    """Something else in the caption is not true."""
    GRATUITOUS = "gratuitous"
    """True, but nobody would say it."""
    UNGRAMMATICAL = "ungrammatical"
    SCOPE = "scope"
    """Two readings: what is negated is unclear."""
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

REASON_TEXTS: dict[Reason, str] = {
    Reason.PRESENT: "the negated thing is in the picture",
    Reason.REST_FALSE: "something else in the caption is false",
    Reason.GRATUITOUS: "true, but nobody would say it",
    Reason.UNGRAMMATICAL: "not good English",
    Reason.SCOPE: "unclear what is negated",
    Reason.DUPLICATE: "says the same as another one",
    Reason.BAD_IMAGE: "the picture is missing or unusable",
}


class Cause(StrEnum):
    """Why people disagreed, says the adjudicator (Potato's list of errors). The key is in `CAUSE_KEYS`."""

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
    Cause.AMBIGUOUS_TEXT: "the text can be read in two ways",
    Cause.GUIDELINE_GAP: "the guidelines do not say",
    Cause.ANNOTATOR_SLIP: "somebody slipped",
    Cause.EDGE_CASE: "an edge case: neither yes nor no",
    Cause.SUBJECTIVE: "a matter of judgement",
    Cause.OTHER: "something else",
}


class Stream(StrEnum):
    """Which way a card came to a person."""

    REVIEW = "review"
    AUDIT = "audit"


class Role(StrEnum):
    """Who acts."""

    ANNOTATOR = "annotator"
    ADJUDICATOR = "adjudicator"
    POLICY = "policy"
    SYSTEM = "system"


class PersonRole(StrEnum):
    """The roles of people, a part of `Role`."""

    ANNOTATOR = Role.ANNOTATOR
    ADJUDICATOR = Role.ADJUDICATOR


class NegationType(StrEnum):
    """What kind of thing a caption denies (DESIGN section 4)."""

    ABSENCE = "absence"
    ACTION = "action"
    ATTRIBUTE = "attribute"
    RELATION = "relation"
    OTHER = "other"


class Question(StrEnum):
    """What a judge was asked; never confused (DESIGN section 8)."""

    PRESENT = "present"
    """Is the negated concept in the picture? The verdict's p is P(present)."""
    ACCEPTABLE = "acceptable"
    """Is the whole caption true and well formed? The verdict's p is P(acceptable)."""


class PictureShown(StrEnum):
    """How a card's picture was shown when the person decided."""

    NONE = "none"
    """Not shown: no file, a failure, or plain mode."""
    CELLS = "cells"
    """As half-cell characters (two dots a cell)."""
    PIXELS = "pixels"
    """By the terminal's own graphics (Kitty, sixel)."""


class GapCause(StrEnum):
    """Why no event has some event numbers."""

    EXPORT = "export"
    """An export took the number for what had been imported since the newest event (`moments`)."""
    RESTORE = "restore"
    """The numbers belong to events of the record that a restore replaced."""
    MIGRATION = "migration"
    """The gap was there before gaps were recorded (schema 0004)."""


class Stage(StrEnum):
    """A step of a pipeline that asks a model something (DESIGN section 8)."""

    PROPOSE = "propose"
    """Which concept could be missing."""
    PRESENCE = "presence"
    """Is the concept in the picture?"""
    PRIOR = "prior"
    """The same question about a blank picture: what the judge says without looking."""
    REWRITE = "rewrite"
    """The caption with the denial in it."""
    ACCEPTABLE = "acceptable"
    """Is the whole caption true and well formed?"""


class Method(StrEnum):
    """Where a probability came from, best first."""

    LOGPROBS = "logprobs"
    """Log-probabilities of the answer's first token, summed over the beginnings of yes and no."""
    DECISION = "decision"
    """A typed decision of the server (`/v1/systemone`)."""
    SAMPLES = "samples"
    """The share of yes among k sampled answers."""
    BARE = "bare"
    """One answer in words."""
    SCORE = "score"
    """A score that is no answer in words: CLIP's margin, an annotation."""


class AnswerStatus(StrEnum):
    """Where a question to a model stands."""

    PENDING = "pending"
    """Written into a file for a batch farm; no answer came back yet."""
    OK = "ok"
    FAILED = "failed"
    """No usable answer came; asked again when the item is tried again."""


class ItemStatus(StrEnum):
    """What became of a caption or a question that went into a pipeline."""

    KEPT = "kept"
    """A candidate came of it."""
    DROPPED = "dropped"
    """It went through the pipeline, and nothing came of it."""
    FAILED = "failed"
    """A model did not answer, or the picture is not there: tried again with --retry."""


class GenerationState(StrEnum):
    """Where a run of `negwb generate` stands."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    """By a person, by a budget, or at a limit: the same command goes on."""
    FAILED = "failed"
    """By an engine that cannot be reached, or a bug."""


class StopReason(StrEnum):
    """Why a run of `negwb generate` stopped before its end."""

    BUDGET = "budget"
    """It reached a cap on requests, tokens or cost."""
    REQUEST = "request"
    """A person or a signal stopped it."""
