"""What a person needs to trust or distrust the accepted pairs: labels, agreement, judges, policies, newest export."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from curation_db.enums import Kind
from curation_db.events.hasty import JUDGING_KINDS, hasty_sql
from curation_db.events.in_force import PERSON_ROLES_SQL, in_force_sql
from curation_db.stats.annotator_agreement import audit_agreement, audit_labels
from curation_db.stats.flip_rate import flip_rates, total_flips
from curation_db.stats.intervals import wilson
from workbench.console.number_format import NONE, decimal
from workbench.console.tables import Listing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from curation_db.stats.intervals import Interval
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings.settings import Settings

_JUDGES: Final = 4
_POLICIES: Final = 2
_STALE: Final = 4
"""Lines and names of the table; --json has all."""
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
    from curation_db.trust.evidence import audit_items  # noqa: PLC0415
    from curation_db.trust.judge_calibration import judge_reports  # noqa: PLC0415
    from curation_db.trust.policy import review, stored_policies  # noqa: PLC0415
    from workbench.reports.trust.acceptance import review_json  # noqa: PLC0415

    audit, accepted = connection.execute(_AUDIT).one(), connection.execute(_ACCEPTED).one()
    agreement = audit_agreement(connection).coefficients
    labels = [item.right for item in audit_items(connection) if item.right is not None]
    flips = flip_rates(connection)
    reviews = (review(connection, policy) for policy in stored_policies(connection))
    return {
        "audit": {
            "candidates": audit.candidates,
            "labelled": audit.labelled,
            "right": labels.count(True),
            "acceptable": _interval(wilson(labels.count(True), len(labels))),
            "labelled_twice": agreement.items,
            "observed": _interval(agreement.observed),
            "ac1": _interval(agreement.ac1),
        },
        "flips": {
            "all": total_flips(flips).figures(),
            "people": [{"name": name, **each.figures()} for name, each in flips.items()],
        },
        "judges": [
            {
                **report.judge._asdict(),
                "labels": report.raw.n,
                "brier": _number(report.raw.brier),
                "discrimination": _number(report.raw.discrimination),
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
    found |= {"has_false_captions": None, "pairs": newest["pairs"]}
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
    """Return one line per figure; no rows before the first decision.

    It fits a screen of 80 x 24: the judges with the most labels and the newest policies are shown, the rest is counted.
    """
    audit, newest = trust["audit"], trust["newest_export"]
    if not (trust["decisions"] or trust["accepted"] or newest):
        return Listing("Trust", ("", ""), [], left=2)
    rows = [
        ("audit labels", _audit(audit)),
        ("agreement in the audit", _agreement(audit)),
        ("flips after a reveal", _flips(trust["flips"])),
        *_judges(trust["judges"], audit["labelled"]),
        *_policies(trust["policies"]),
        ("accepted automatically", f"{trust['automatic']:,} of {trust['accepted']:,} ({_share(trust)})"),
        ("hasty decisions", f"{trust['hasty']:,} of {trust['decisions']:,}, faster than 0.4 s"),
        *([] if newest is None else [("stale exports", _stale(trust)), (f"export {newest['name']}", _export(newest))]),
    ]
    return Listing("Trust", ("", ""), rows, left=2)


def _audit(audit: Mapping[str, Any]) -> str:
    of = f"{audit['labelled']:,} of {audit['candidates']:,} candidates"
    return f"{of}; acceptable {_span(audit['acceptable'])}" if audit["labelled"] else of


def _flips(flips: Mapping[str, Any]) -> str:
    """Return the rate of all annotators, and the annotator with the highest one."""
    every = flips["all"]
    if not every["labels"]:
        return NONE
    direction = f"{every['toward_judges']:,} to the judges, {every['away_from_judges']:,} away"
    line = f"{every['flips']:,} of {every['labels']:,} labels {_span(every['rate'])}; {direction}"
    flipping = [each for each in flips["people"] if each["flips"]]
    if len(flips["people"]) < 2 or not flipping:
        return line
    most = max(flipping, key=lambda each: each["rate"]["estimate"])
    return f"{line}; most: {most['name']}, {_digits(most['rate']['estimate'])}"


def _judges(judges: Sequence[Mapping[str, Any]], labelled: int) -> list[tuple[str, str]]:
    """Return the judges with the most labels; equal names are distinguished by model and prompt version."""
    shown = sorted(judges, key=lambda each: -each["labels"])[:_JUDGES]
    names = Counter((each["judge"], each["question"]) for each in shown)
    rows = []
    for each in shown:
        unique = names[each["judge"], each["question"]] == 1
        version = "" if unique else f"; {each['model']}, prompt {each['prompt_version']}"
        labels = "" if each["labels"] == labelled else f"; {each['labels']:,} labels"
        rows.append((f"judge {each['judge']}, {each['question']}", f"{_judge(each)}{labels}{version}"))
    rest = len(judges) - len(shown)
    return [*rows, *([("", f"{rest:,} more judges: negwb judges")] if rest else [])]


def _policies(policies: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    shown = policies[-_POLICIES:]
    rest = len(policies) - len(shown)
    rows = [(f"policy {each['policy']}", _policy(each)) for each in reversed(shown)]
    return [*rows, *([("", f"{rest:,} more policies: negwb accept")] if rest else [])]


def _stale(trust: Mapping[str, Any]) -> str:
    names = trust["stale_exports"]
    shown = ", ".join(names[:_STALE]) + (", …" if len(names) > _STALE else "")
    return f"{len(names):,} of {trust['exports']:,}" + (f": {shown}" if names else "")


def _agreement(audit: Mapping[str, Any]) -> str:
    if not audit["labelled_twice"]:
        return "unknown: no candidate has labels of two annotators"
    of = f"{audit['labelled_twice']:,} labelled twice"
    return f"P_o {_span(audit['observed'])}, AC1 {_span(audit['ac1'])}; {of}"


def _judge(judge: Mapping[str, Any]) -> str:
    raw, calibrated = _digits(judge["ece"]), _digits(judge["ece_calibrated"])
    return f"ECE {raw}, {calibrated} calibrated; discrimination {_digits(judge['discrimination'])}"


def _policy(policy: Mapping[str, Any]) -> str:
    counts = Counter(policy["standings"].values())
    standings = ", ".join(standing if len(counts) == 1 else f"{n} {standing}" for standing, n in counts.items())
    withdraw = f"; {policy['to_withdraw']:,} to withdraw: negwb accept" if policy["to_withdraw"] else ""
    bound = "" if policy["bound"] is None else f", at least {_digits(policy['bound'])} right"
    target = f"target {policy['label']} {_digits(policy['precision'])}, confidence {_digits(policy['confidence'])}"
    return f"{standings or 'outdated'}: {policy['accepted']:,} accepted{bound}; {target}{withdraw}"


def _export(newest: Mapping[str, Any]) -> str:
    parts = ["stale"] if newest["stale"] else []
    if (inside := newest["benchmark_pairs"]) is not None:
        pairs = [f"{count:,} pairs on images of the benchmark {name}" for name, count in inside.items()]
        parts += pairs or ["no pair on images of benchmarks"]
    if (gate := newest["gate"]) is not None:
        limits = (
            f"{_digits(gate['accuracy'])}, at most {_digits(gate['accuracy_90'][1])}; limit {_digits(gate['limit'])}"
        )
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
    return NONE if value is None else decimal(value)


def _span(interval: Mapping[str, float | None]) -> str:
    return f"{_digits(interval['estimate'])} ({_digits(interval['low'])}–{_digits(interval['high'])})"
