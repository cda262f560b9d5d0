"""What a person needs to trust or distrust the accepted pairs: labels, agreement, judges, policies, newest export."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from curation_db.enums import Kind
from curation_db.events.hasty import JUDGING_KINDS, hasty_sql
from curation_db.events.in_force import PERSON_ROLES_SQL, in_force_sql
from curation_db.stats.annotator_agreement import audit_agreement, audit_labels
from workbench.console.number_format import NONE
from workbench.console.tables import Listing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from curation_db.stats.intervals import Interval
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings import Settings

GATE_PAIRS: Final = 2_000
"""The gate of an export with at most so many pairs takes about a second."""
_AUDIT = text(f"""
    SELECT count(*) AS candidates, count(l.candidate_id) AS labelled FROM candidate c
    JOIN candidate_state s ON s.candidate_id = c.id AND s.state != 'superseded'
    LEFT JOIN (SELECT DISTINCT candidate_id FROM ({audit_labels()})) AS l ON l.candidate_id = c.id
    WHERE c.audit AND NOT EXISTS (SELECT 1 FROM gold g WHERE g.candidate_id = c.id)
""")
_ACCEPTED = text(f"""
    SELECT count(*) AS accepted, coalesce(sum(s.accepts = 0 AND NOT EXISTS (
        SELECT 1 FROM event e WHERE e.candidate_id = s.candidate_id AND e.kind = '{Kind.ADJUDICATE}'
        AND {in_force_sql()})), 0) AS automatic
    FROM candidate_state s WHERE s.state = 'accepted'
""")
"""An accepted candidate without an accept of a person was accepted by an adjudicator or by a policy."""
_KINDS = ", ".join(f"'{kind}'" for kind in sorted(JUDGING_KINDS))
_DECISIONS = text(f"""
    SELECT count(*) FROM event e
    WHERE e.kind IN ({_KINDS}) AND e.role IN {PERSON_ROLES_SQL} AND NOT e.gold AND {in_force_sql("e")}
""")
_HASTY = text(f"SELECT count(*) FROM event e WHERE {hasty_sql()}")


def trust_report(connection: Connection) -> dict[str, Any]:
    """Return the figures of the record, as JSON types."""
    from curation_db.trust.judge_calibration import judge_reports  # noqa: PLC0415
    from curation_db.trust.policy import review, stored_policies  # noqa: PLC0415
    from workbench.reports.trust.acceptance import review_json  # noqa: PLC0415

    audit, accepted = connection.execute(_AUDIT).one(), connection.execute(_ACCEPTED).one()
    agreement = audit_agreement(connection).coefficients
    reviews = (review(connection, policy) for policy in stored_policies(connection))
    return {
        "audit": {
            "candidates": audit.candidates,
            "labelled": audit.labelled,
            "labelled_twice": agreement.items,
            "observed": _interval(agreement.observed),
            "ac1": _interval(agreement.ac1),
        },
        "judges": [
            {
                **report.judge._asdict(),
                "labels": report.raw.n,
                "ece": _number(report.raw.ece),
                "ece_calibrated": _number(report.calibrated.ece),
            }
            for report in judge_reports(connection)
        ],
        "policies": [review_json(each) for each in reviews if each.accepted],
        "accepted": accepted.accepted,
        "automatic": accepted.automatic,
        "decisions": connection.execute(_DECISIONS).scalar_one(),
        "hasty": connection.execute(_HASTY).scalar_one(),
    }


def newest_export(
    workspace: Workspace, settings: Settings, exports: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return overlap and gate of the export of the newest event; None: there is no readable export.

    Both are null where they are unknown: the gate of a large export, or the overlap with a damaged benchmark.
    """
    from benchmarks.errors import BenchError  # noqa: PLC0415
    from curation_db.exporting.blind_gate import check_gate, hard_negatives  # noqa: PLC0415
    from curation_db.exporting.manifest import ManifestError, read_items  # noqa: PLC0415
    from workbench.reports.exports.gate import gate_json  # noqa: PLC0415
    from workbench.workspace.held_out import images_by_benchmark, pairs_by_benchmark  # noqa: PLC0415

    readable = [each for each in exports if "problem" not in each]
    if not readable:
        return None
    newest = max(readable, key=lambda each: (each["event"], each["name"]))
    found: dict[str, Any] = {"name": newest["name"], "stale": newest["stale"], "benchmark_pairs": None, "gate": None}
    found["has_false_captions"] = None
    folder = workspace.exports / newest["name"]
    try:
        found["benchmark_pairs"] = pairs_by_benchmark(read_items(folder), images_by_benchmark(workspace))
        if newest["pairs"] <= GATE_PAIRS:
            negatives = hard_negatives(read_items(folder))
            found["has_false_captions"] = bool(negatives.pairs)
            if negatives.pairs:
                found["gate"] = gate_json(check_gate(negatives, settings.export.blind_limit))
    except (BenchError, ManifestError) as error:
        found["problem"] = str(error)
    return found


def trust_listing(trust: Mapping[str, Any]) -> Listing:
    """Return one line per figure; no rows before the first decision."""
    audit, newest = trust["audit"], trust["newest_export"]
    if not (trust["decisions"] or trust["accepted"] or newest):
        return Listing("Trust", ("", ""), [], left=2)
    rows = [
        ("audit labels", f"{audit['labelled']:,} of {audit['candidates']:,} candidates"),
        ("agreement in the audit", _agreement(audit)),
        *((f"judge {each['judge']}, {each['question']}", _judge(each)) for each in trust["judges"]),
        *((f"policy {each['policy']}", _policy(each)) for each in trust["policies"]),
        ("accepted automatically", f"{trust['automatic']:,} of {trust['accepted']:,} ({_share(trust)})"),
        ("hasty decisions", f"{trust['hasty']:,} of {trust['decisions']:,}, faster than 0.4 s"),
        *([] if newest is None else [(f"export {newest['name']}", _export(newest))]),
    ]
    return Listing("Trust", ("", ""), rows, left=2)


def _agreement(audit: Mapping[str, Any]) -> str:
    if not audit["labelled_twice"]:
        return "unknown: no candidate has labels of two annotators"
    of = f"{audit['labelled_twice']:,} candidates with two labels or more"
    return f"P_o {_span(audit['observed'])}, AC1 {_span(audit['ac1'])}; {of}"


def _judge(judge: Mapping[str, Any]) -> str:
    raw, calibrated = _digits(judge["ece"]), _digits(judge["ece_calibrated"])
    return f"ECE {raw}, calibrated {calibrated}; {judge['labels']:,} labels; {judge['model']}"


def _policy(policy: Mapping[str, Any]) -> str:
    standings = ", ".join(f"{name} {standing}" for name, standing in policy["standings"].items())
    withdraw = f"; {policy['to_withdraw']:,} to withdraw: negwb accept" if policy["to_withdraw"] else ""
    claim = f"{policy['label']} at {policy['precision']:g} with {policy['confidence']:g} confidence"
    return f"{policy['accepted']:,} accepted, {claim}: {standings}{withdraw}"


def _export(newest: Mapping[str, Any]) -> str:
    parts = ["stale"] if newest["stale"] else []
    if (inside := newest["benchmark_pairs"]) is not None:
        pairs = [f"{count:,} pairs on images of the benchmark {name}" for name, count in inside.items()]
        parts += pairs or ["no pair on images of benchmarks"]
    if (gate := newest["gate"]) is not None:
        limits = f"{_digits(gate['accuracy'])}, at most {_digits(gate['accuracy_90'][1])}; limit {gate['limit']:.2f}"
        parts.append(f"{'passes' if gate['passes'] else 'fails'} the gate (blind accuracy {limits})")
    elif newest["has_false_captions"] is False:
        parts.append("true captions only")
    return "; ".join([*parts, *([newest["problem"]] if "problem" in newest else [])])


def _share(trust: Mapping[str, Any]) -> str:
    return f"{trust['automatic'] / trust['accepted']:.1%}" if trust["accepted"] else NONE


def _interval(interval: Interval) -> dict[str, float | None]:
    return {
        "estimate": _number(interval.estimate),
        "low": _number(interval.low),
        "high": _number(interval.high),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _digits(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _span(interval: Mapping[str, float | None]) -> str:
    return f"{_digits(interval['estimate'])} ({_digits(interval['low'])}–{_digits(interval['high'])})"
