"""Tables of generation: requests to models with their answers, and the result of each caption.

`generation_answer` lets a stopped run continue: a request with an answer there is never sent, or paid for, again.
"""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy import text as sql_text
from sqlmodel import Field, SQLModel


class VisualQuestion(SQLModel, table=True):
    """Question about an image that people answered with "no" (VQAv2): the input of pipeline P2."""

    __tablename__ = "visual_question"
    __table_args__ = (UniqueConstraint("source_id", "key"), Index("visual_question_image", "image_id"))
    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="source.id")
    key: str
    """Its id in the source."""
    image_id: int = Field(foreign_key="image.id")
    text: str
    """Sanitised text of the question."""
    answer: str
    """Majority answer: "no"."""
    agreed: int | None = None
    """Number of people who gave this answer."""
    answers: int | None = None
    """Number of people who answered."""
    question_type: str | None = None
    """First words of the question as VQAv2 classifies them, for example "is there a"."""


class PromptText(SQLModel, table=True):
    """Text of a prompt at the time of its use; candidates and verdicts name its version."""

    __tablename__ = "prompt_text"
    version: str = Field(primary_key=True)
    """Name and hash, for example negwb-presence-1@3fa2b1c94d0e."""
    content: str
    """The whole prompt file."""
    created_at: str


class EndpointProbe(SQLModel, table=True):
    """Result of `negwb generate probe`: the request features that a server honours."""

    __tablename__ = "endpoint_probe"
    url: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    features: str
    """JSON: feature -> observed result."""
    probed_at: str


class GenerationRun(SQLModel, table=True):
    """One run of `negwb generate`, up to its end or its last heartbeat."""

    __tablename__ = "generation_run"
    id: int | None = Field(default=None, primary_key=True)
    recipe: str
    """Hash of the settings that determine the results."""
    settings: str
    """JSON."""
    state: str = Field(sa_type=String)
    host: str
    pid: int
    started_at: str
    beat_at: str
    """Time of the last heartbeat."""
    ended_at: str | None = None
    progress: str
    """JSON: counts so far."""
    message: str | None = None
    """Reason of an early end."""


class GenerationAnswer(SQLModel, table=True):
    """One request to one model, keyed by everything that determines the answer, and its answer."""

    __tablename__ = "generation_answer"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("generation_answer_open", "status", "id", sqlite_where=sql_text("status <> 'ok'")),
    )
    id: int | None = Field(default=None, primary_key=True)
    key: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32), nullable=False))
    """SHA-256 of (model, prompt, messages, image, sampling, seed)."""
    run_id: int | None = Field(default=None, foreign_key="generation_run.id")
    stage: str = Field(sa_type=String)
    engine: str
    """The engine's name in the settings."""
    model: str
    prompt: str
    """Version of the prompt with its hash."""
    image_id: int | None = Field(default=None, foreign_key="image.id")
    subject: str
    """Subject of the request: a caption or a concept."""
    seed: int | None = None
    status: str = Field(sa_type=String)
    text: str = ""
    """Sanitised text of the answer."""
    p: float | None = None
    """P(yes) of a yes/no question."""
    label_mass: float | None = None
    method: str | None = Field(default=None, sa_type=String)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    """In the currency of the engine's prices."""
    latency_ms: float | None = None
    error: str | None = None
    """Code of the reason for a missing answer."""
    detail: str | None = None
    tries: int = 0
    """Number of sent requests."""
    simulated: bool = Field(default=False, sa_column=Column(Boolean, nullable=False))
    created_at: str


class GenerationItem(SQLModel, table=True):
    """Result of one caption (P1) or question (P2) under one recipe."""

    __tablename__ = "generation_item"
    __table_args__ = (
        UniqueConstraint("recipe", "item"),
        Index("generation_item_status", "status", "reason"),
        Index("generation_item_run", "run_id"),
    )
    id: int | None = Field(default=None, primary_key=True)
    recipe: str
    item: str
    """caption/ID or question/ID, with an id of this record."""
    run_id: int | None = Field(default=None, foreign_key="generation_run.id")
    image_id: int = Field(foreign_key="image.id")
    status: str = Field(sa_type=String)
    reason: str | None = None
    """Code of the reason why no candidate was created."""
    detail: str | None = None
    candidate_id: int | None = Field(default=None, foreign_key="candidate.id")
    attempts: int = 1
    """Number of tried concepts."""
    created_at: str


class PromptComparison(SQLModel, table=True):
    """Two recipes that differ in their prompt version alone, between which the items are divided at random."""

    __tablename__ = "prompt_comparison"
    __table_args__ = (UniqueConstraint("recipe_a", "recipe_b"),)
    id: int | None = Field(default=None, primary_key=True)
    recipe_a: str
    recipe_b: str
    prompt_a: str
    """Version of the prompt set of arm a; the one that comes first in alphabetical order."""
    prompt_b: str
    pipeline: str
    seed: int
    """Seed of the assignment."""
    created_at: str


class PromptAssignment(SQLModel, table=True):
    """Arm of one caption (P1) or question (P2) in a comparison; stored before any request about it is sent."""

    __tablename__ = "prompt_assignment"
    __table_args__ = (
        Index("prompt_assignment_arm", "comparison_id", "arm", "image_id"),
        CheckConstraint("arm IN ('a', 'b')", name="arm_known"),
        {"sqlite_with_rowid": False},
    )
    comparison_id: int = Field(foreign_key="prompt_comparison.id", primary_key=True)
    item: str = Field(primary_key=True)
    """caption/ID or question/ID, with an id of this record."""
    image_id: int = Field(foreign_key="image.id")
    pair: int
    """Number of its pair in the comparison: one coin decides which of the two gets arm a."""
    arm: str
