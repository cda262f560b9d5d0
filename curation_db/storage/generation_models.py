"""The tables of generating: what was asked of which model and what it said, and what became of each caption.

`generation_answer` is the memory that makes a run go on where it stopped: nothing that stands there as answered is
ever asked, or paid for, again.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy import text as sql_text
from sqlmodel import Field, SQLModel


class VisualQuestion(SQLModel, table=True):
    """A question about a picture that people answered with "no" (VQAv2): what P2 begins with."""

    __tablename__ = "visual_question"
    __table_args__ = (UniqueConstraint("source_id", "key"), Index("visual_question_image", "image_id"))
    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="source.id")
    key: str
    """Its id in the source."""
    image_id: int = Field(foreign_key="image.id")
    text: str
    """As it was asked; clean."""
    answer: str
    """What most people answered; "no"."""
    agreed: int | None = None
    """How many gave this answer ..."""
    answers: int | None = None
    """... of so many."""
    question_type: str | None = None
    """How it begins, as VQAv2 says: "is there a"."""


class PromptText(SQLModel, table=True):
    """A prompt as it was when it was used; candidates and verdicts name it."""

    __tablename__ = "prompt_text"
    version: str = Field(primary_key=True)
    """Name and hash: negwb-presence-1@3fa2b1c94d0e."""
    content: str
    """All of its file."""
    created_at: str


class EndpointProbe(SQLModel, table=True):
    """What a server proved to honour: `negwb generate probe`."""

    __tablename__ = "endpoint_probe"
    url: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    features: str
    """JSON: feature to what was seen."""
    probed_at: str


class GenerationRun(SQLModel, table=True):
    """One run of `negwb generate`, from its start to its end or to its last beat."""

    __tablename__ = "generation_run"
    id: int | None = Field(default=None, primary_key=True)
    recipe: str
    """Hash of the settings that decide what comes out; see `settings`."""
    settings: str
    """JSON."""
    state: str = Field(sa_type=String)
    host: str
    pid: int
    started_at: str
    beat_at: str
    """When it last said that it lives."""
    ended_at: str | None = None
    progress: str
    """JSON: counts so far."""
    message: str | None = None
    """Why it ended, where not well."""


class GenerationAnswer(SQLModel, table=True):
    """One question to one model, by everything that decides the answer, and what came back."""

    __tablename__ = "generation_answer"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("generation_answer_open", "status", "id", sqlite_where=sql_text("status <> 'ok'")),
    )
    id: int | None = Field(default=None, primary_key=True)
    key: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32), nullable=False))
    """SHA-256 over (model, prompt, messages, picture, sampling, seed)."""
    run_id: int | None = Field(default=None, foreign_key="generation_run.id")
    stage: str = Field(sa_type=String)
    engine: str
    """The engine's name in the settings."""
    model: str
    prompt: str
    """Version of the prompt, with its hash."""
    image_id: int | None = Field(default=None, foreign_key="image.id")
    subject: str
    """What it was about: the caption, the concept."""
    seed: int | None = None
    status: str = Field(sa_type=String)
    text: str = ""
    """What the model said; clean."""
    p: float | None = None
    """P(yes), where a yes or no was asked for."""
    label_mass: float | None = None
    method: str | None = Field(default=None, sa_type=String)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    """In the currency of the engine's prices."""
    latency_ms: float | None = None
    error: str | None = None
    """A word for why there is no answer."""
    detail: str | None = None
    tries: int = 0
    """Requests that were sent for it."""
    simulated: bool = Field(default=False, sa_column=Column(Boolean, nullable=False))
    created_at: str


class GenerationItem(SQLModel, table=True):
    """What became of one caption (P1) or question (P2) under one recipe."""

    __tablename__ = "generation_item"
    __table_args__ = (
        UniqueConstraint("recipe", "item"),
        Index("generation_item_status", "status", "reason"),
        Index("generation_item_run", "run_id"),
    )
    id: int | None = Field(default=None, primary_key=True)
    recipe: str
    item: str
    """caption/ID or question/ID: of this record."""
    run_id: int | None = Field(default=None, foreign_key="generation_run.id")
    image_id: int = Field(foreign_key="image.id")
    status: str = Field(sa_type=String)
    reason: str | None = None
    """A word for why nothing came of it."""
    detail: str | None = None
    candidate_id: int | None = Field(default=None, foreign_key="candidate.id")
    attempts: int = 1
    """Concepts that were tried."""
    created_at: str
