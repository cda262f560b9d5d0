"""What people decided about the candidates of each proposer and prompt version, and what the requests cost. Reads only.

A candidate is accepted if most of its audit labels are accepts; unsure and an edit count as not accepted, because the
text cannot be used as it was proposed. Audit labels are the first blind answers of people on a random sample, so they
hold for all candidates. Decisions of the review are separate: hard cases may come first, and the verdicts are visible.
Children of edits, gold items and the candidates of a benchmark's review are left out: no prompt wrote them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Row, text

from curation_db.enums import BENCHMARK, Kind, State
from curation_db.events.event_log import undone_sql
from curation_db.events.in_force import in_force_sql
from curation_db.foreign_json import JsonError, parse_json
from curation_db.stats.prompt_acceptance import Cell, Counts

T = TypeVar("T", bound=Hashable)
_CELL: Final = """
    c.generator, coalesce(c.prompt_version, '') AS prompt, coalesce(c.cue, '') AS cue, c.negation_type, c.pipeline,
    coalesce(c.cue_position, '') AS position
"""
_PROPOSED: Final = f"""
    c.parent_id IS NULL AND c.pipeline != '{BENCHMARK}'
    AND NOT EXISTS (SELECT 1 FROM gold g WHERE g.candidate_id = c.id)
"""
_CANDIDATES = text(f"SELECT {_CELL}, count(*) AS n FROM candidate c WHERE {_PROPOSED} GROUP BY 1, 2, 3, 4, 5, 6")
_REVIEWED = text(f"""
    SELECT {_CELL}, count(*) AS n, sum(s.state = '{State.ACCEPTED}') AS accepted
    FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id
    WHERE {_PROPOSED} AND NOT c.audit AND (s.state IN ('{State.REJECTED}', '{State.UNSURE}', '{State.SUPERSEDED}')
        OR s.state = '{State.ACCEPTED}' AND (s.accepts > 0 OR EXISTS
            (SELECT 1 FROM event e WHERE e.candidate_id = s.candidate_id AND e.kind = 'adjudicate'
             AND {in_force_sql()})))
    GROUP BY 1, 2, 3, 4, 5, 6
""")
"""Candidates outside the audit that people decided; an acceptance by a policy alone is no decision of a person."""
_FIRST_ANSWERS: Final = f"""
    SELECT candidate_id, kind FROM (
        SELECT e.candidate_id, e.kind, row_number() OVER (PARTITION BY e.candidate_id, e.actor ORDER BY e.seq) AS nth
        FROM event e WHERE e.stream = 'audit' AND e.blind AND e.role IN ('annotator', 'adjudicator')
          AND e.kind IN ('{Kind.ACCEPT}', '{Kind.REJECT}', '{Kind.UNSURE}', '{Kind.EDIT}') AND NOT {undone_sql()}
    ) WHERE nth = 1
"""
"""Each person's first answer in effect about an audit candidate, given before the reveal."""
_AUDITED = text(f"""
    SELECT c.id, c.image_id, c.audit_rate, {_CELL}, 2 * sum(a.kind = '{Kind.ACCEPT}') > count(*) AS accepted
    FROM ({_FIRST_ANSWERS}) AS a JOIN candidate c ON c.id = a.candidate_id
    WHERE c.audit AND {_PROPOSED} GROUP BY c.id ORDER BY c.id
""")
_SPENT = text("""
    SELECT run_id, engine, sum(tries) AS requests, sum(status = 'ok') AS answers,
        coalesce(sum(prompt_tokens), 0) AS prompt_tokens, coalesce(sum(completion_tokens), 0) AS completion_tokens,
        sum(status = 'ok' AND (prompt_tokens IS NULL OR completion_tokens IS NULL)) AS uncounted,
        coalesce(sum(cost), 0) AS cost, sum(status = 'ok' AND cost IS NULL) AS unpaid,
        sum(status = 'ok' AND cost IS NULL AND (prompt_tokens IS NULL OR completion_tokens IS NULL))
            AS unpaid_uncounted,
        coalesce(sum(CASE WHEN cost IS NULL THEN prompt_tokens END), 0) AS unpaid_prompt_tokens,
        coalesce(sum(CASE WHEN cost IS NULL THEN completion_tokens END), 0) AS unpaid_completion_tokens,
        max(simulated) AS simulated
    FROM generation_answer WHERE run_id IS NOT NULL GROUP BY 1, 2
""")
_RUNS = text("SELECT id, recipe, settings FROM generation_run")


@dataclass(frozen=True, slots=True)
class AuditedCandidate:
    """A proposed candidate with an audit label."""

    candidate_id: int
    image_id: int
    rate: float
    """Sampling probability of the audit set."""
    cell: Cell
    accepted: bool


@dataclass(frozen=True, slots=True)
class Price:
    """Price of an engine, in any one currency."""

    per_million_in: float
    """Of a million prompt tokens."""
    per_million_out: float
    """Of a million answer tokens."""


@dataclass(frozen=True, slots=True)
class Unpaid:
    """Answers of one engine without a stored cost: the engine had no price when it answered."""

    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    """Answers whose tokens the server did not count."""

    def __add__(self, other: Unpaid) -> Unpaid:
        return Unpaid(
            self.answers + other.answers,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.uncounted + other.uncounted,
        )


@dataclass(frozen=True, slots=True)
class Spend:
    """Requests and what they cost."""

    requests: int = 0
    """Requests that were sent, with repeated and failed ones."""
    tokens: int = 0
    """Prompt and answer tokens, as the servers count them."""
    uncounted: int = 0
    """Answers whose tokens the server did not count."""
    paid: float = 0.0
    """Stored cost of the answers that had a price when they came, in the currency of the prices."""
    unpaid: Mapping[str, Unpaid] = field(default_factory=dict)
    """Engine to its answers without a stored cost."""
    simulated: bool = False
    """Some answers are those of a script."""

    def __add__(self, other: Spend) -> Spend:
        unpaid = dict(self.unpaid)
        for engine, more in other.unpaid.items():
            unpaid[engine] = unpaid.get(engine, Unpaid()) + more
        return Spend(
            self.requests + other.requests,
            self.tokens + other.tokens,
            self.uncounted + other.uncounted,
            self.paid + other.paid,
            unpaid,
            self.simulated or other.simulated,
        )

    def money(self, prices: Mapping[str, Price]) -> float | None:
        """Return the cost; answers without a stored cost are priced by `prices` (engine to price).

        None: an engine has no price, or its server did not count the tokens of an answer that must be priced.
        """
        total = self.paid
        for engine, unpaid in self.unpaid.items():
            if engine not in prices or unpaid.uncounted:
                return None
            price = prices[engine]
            total += unpaid.prompt_tokens * price.per_million_in / 1e6
            total += unpaid.completion_tokens * price.per_million_out / 1e6
        return total


@dataclass(frozen=True, slots=True)
class RunPurpose:
    """What a generation run proposed with."""

    recipe: str
    """Hash of the recipe."""
    proposer: str
    """Model of the proposer, as its candidates name it."""
    prompt: str
    """Version of the prompt set."""


def candidate_cells(connection: Connection) -> dict[Cell, Counts]:
    """Return the number of candidates of each cell, and of those that people decided in review."""
    cells = {_cell(row): Counts(candidates=row.n) for row in connection.execute(_CANDIDATES)}
    for row in connection.execute(_REVIEWED):
        cell = _cell(row)
        cells[cell] = replace(cells[cell], reviewed=row.n, reviewed_accepted=row.accepted)
    return cells


def audited_candidates(connection: Connection) -> list[AuditedCandidate]:
    """Return the proposed candidates with an audit label, in the order of their ids."""
    return [
        AuditedCandidate(row.id, row.image_id, row.audit_rate, _cell(row), bool(row.accepted))
        for row in connection.execute(_AUDITED)
    ]


def spend_by_prompt(connection: Connection) -> dict[tuple[str, str], Spend]:
    """Return what the runs of each (proposer model, prompt version) spent; reads all requests.

    Runs that only judge existing candidates propose nothing and are left out.
    """
    return _spend_by(connection, lambda purpose: (purpose.proposer, purpose.prompt))


def spend_by_recipe(connection: Connection) -> dict[str, Spend]:
    """Return what the runs of each recipe with a proposer spent; reads all requests."""
    return _spend_by(connection, lambda purpose: purpose.recipe)


def _spend_by(connection: Connection, key: Callable[[RunPurpose], T]) -> dict[T, Spend]:
    purposes = run_purposes(connection)
    spent: dict[T, Spend] = defaultdict(Spend)
    for row in connection.execute(_SPENT):
        if (purpose := purposes.get(row.run_id)) is not None:
            spent[key(purpose)] += _spend(row)
    return dict(spent)


def run_purposes(connection: Connection) -> dict[int, RunPurpose]:
    """Return the purpose of each run with a proposer, by its id."""
    purposes = {}
    for row in connection.execute(_RUNS):
        recipe = _recipe(row.settings)
        models, name = recipe.get("models"), recipe.get("proposer")
        model = models.get(name) if isinstance(models, dict) and isinstance(name, str) else None
        prompt = recipe.get("prompts")
        if isinstance(model, str) and isinstance(prompt, str):
            purposes[row.id] = RunPurpose(row.recipe, model, prompt)
    return purposes


def _recipe(settings: str) -> Mapping[str, object]:
    try:
        content = parse_json(settings)
    except JsonError:
        return {}
    recipe = content.get("recipe") if isinstance(content, dict) else None
    return recipe if isinstance(recipe, dict) else {}


def _cell(row: Row[Any]) -> Cell:
    return Cell(row.generator, row.prompt, row.cue, row.negation_type, row.pipeline, row.position)


def _spend(row: Row[Any]) -> Spend:
    unpaid = Unpaid(row.unpaid, row.unpaid_prompt_tokens, row.unpaid_completion_tokens, row.unpaid_uncounted)
    return Spend(
        row.requests,
        row.prompt_tokens + row.completion_tokens,
        row.uncounted,
        row.cost,
        {row.engine: unpaid} if unpaid.answers else {},
        bool(row.simulated),
    )
