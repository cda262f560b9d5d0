"""Status report of a workspace as JSON and tables: sources, candidates, annotators, sessions and exports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from curation_db.events.annotator_status import count_waiting_edits
from curation_db.events.event_clock import HistoryRelation, relation_of
from curation_db.exporting.manifest import ManifestError, list_exports, read_items, read_manifest
from curation_db.exporting.selection import ExportFilter
from curation_db.exporting.staleness import drift_of_items, drift_since
from curation_db.processes import ProcessIdentity, is_alive
from curation_db.queue.gold import GoldScore, count_gold, scores
from curation_db.search.export_query import parse_query
from curation_db.search.overview import overview
from curation_db.stats.annotation_cost import overlaps
from curation_db.stats.decision_speed import AnnotationSpeed, speeds
from curation_db.storage.store import open_read_only
from workbench.annotation.wording import readable
from workbench.console.tables import Listing
from workbench.reports.overlap_check import overlap_mismatch
from workbench.reports.trust.summary import newest_export, trust_listing, trust_report
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.settings import Settings, read_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from workbench.workspace.layout import Workspace

_OTHER_HISTORIES = {
    "replaced": "made from a history that a restore replaced",
    "unknown": "its event is not in this record; see: negwb doctor",
}
"""Text about an export whose history (`event_clock.HistoryRelation`) mismatch from the record's."""
_DECISIONS = ("accept", "reject", "unsure", "skip", "edit")


def gather(workspace: Workspace) -> dict[str, Any]:
    """Return the report as `--json` prints it."""
    settings = read_settings(workspace.settings)
    with open_read_only(workspace.database) as store, store.read() as connection:
        counts = overview(connection)
        overlap, measured = overlaps(connection), speeds(connection)
        waiting = count_waiting_edits(connection)
        mismatch = overlap_mismatch(connection, settings.curate.overlap)
        gold = gold_report(connection)
        exports = _exports(connection, workspace)
        trust = trust_report(connection)
    trust["newest_export"] = newest_export(workspace, settings, exports)
    trust["exports"] = len(exports)
    trust["stale_exports"] = [each["name"] for each in exports if each.get("stale")]
    states = counts.states
    by_state = {state: sum(stream[state] for stream in states.values()) for state in next(iter(states.values()))}
    return {
        "workspace": str(workspace.root),
        "sources": _with_pictures(workspace, settings, [asdict(source) for source in counts.sources]),
        "images": sum(source.images for source in counts.sources),
        "captions": sum(source.captions for source in counts.sources),
        "questions": sum(source.questions for source in counts.sources),
        "candidates": {"total": sum(by_state.values()), "by_state": by_state, "by_stream": states},
        "overlap": [asdict(each) for each in overlap],
        "overlap_setting": {"overlap": mismatch.setting, "differing": mismatch.candidates, "warning": mismatch.warning},
        "people": [
            {**asdict(person), "speed": measured.get(person.name, AnnotationSpeed()).figures()}
            for person in counts.people
        ],
        "edits_waiting": waiting,
        "gold": gold,
        "open_sessions": [
            {**asdict(s), "running": is_alive(ProcessIdentity(s.host, s.pid, s.started_at))} for s in counts.sessions
        ],
        "exports": exports,
        "trust": trust,
        "last_event": asdict(counts.last_event) if counts.last_event else None,
    }


def gold_report(connection: Connection) -> dict[str, Any]:
    """Return the number of gold candidates and the score of each annotator, as JSON types."""
    return {"candidates": asdict(count_gold(connection)), "scores": [_score_json(each) for each in scores(connection)]}


def _score_json(score: GoldScore) -> dict[str, Any]:
    share = score.share
    counts = {**asdict(score), "answers": score.answers}
    return {**counts, "share": share.estimate, "low": share.low, "high": share.high}


def _with_pictures(workspace: Workspace, settings: Settings, sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    folders = PictureFolders(workspace.root, settings.pictures)
    for source in sources:
        paths = folders.folders(source["name"])
        # not Path.is_dir, which raises for a folder without permission
        source["picture_folders"] = [{"path": str(path), "exists": os.path.isdir(path)} for path in paths]
    return sources


def _exports(connection: Connection, workspace: Workspace) -> list[dict[str, Any]]:
    return [_export(connection, workspace, name) for name in list_exports(workspace.exports)]


def _export(connection: Connection, workspace: Workspace, name: str) -> dict[str, Any]:
    try:
        manifest = read_manifest(workspace.exports / name)
        selection = ExportFilter.from_dict(manifest.selection, parse_query)
    except (ManifestError, KeyError, TypeError, ValueError) as error:
        return {"name": name, "problem": str(error)}
    history = relation_of(connection, manifest.event_seq, manifest.event_uid, manifest.lineage)
    # for another history the record cannot tell which pairs changed
    is_same = history is HistoryRelation.SAME
    drift = None
    if is_same and selection.query is None:
        drift = drift_since(connection, manifest.event_seq, selection)
    elif is_same:
        drift = drift_of_items(connection, read_items(workspace.exports / name), selection)
    return {
        "name": name,
        "event": manifest.event_seq,
        "states": [str(state) for state in selection.states],
        "pairs": manifest.counts.pairs,
        "images": manifest.counts.images,
        "export_sha256": manifest.export_sha256,
        "history": str(history),
        "stale": drift is None or drift.stale,
        "entered": drift.entered if drift else None,
        "left": drift.left if drift else None,
    }


def listings(report: dict[str, Any]) -> list[Listing]:
    """Return the tables of the report that have rows."""
    tables = [
        _workspace(report),
        _sources(report),
        _candidates(report),
        _overlap(report),
        _people(report),
        edits_listing(report["edits_waiting"]),
        scores_listing(report["gold"]),
        _sessions(report),
        _export_list(report),
        trust_listing(report["trust"]),
    ]
    return [listing for listing in tables if listing.rows]


def _workspace(report: dict[str, Any]) -> Listing:
    last = report["last_event"]
    newest = f"{last['seq']}: {last['kind']} by {last['actor']}, {_minute(last['at'])} UTC" if last else "none yet"
    rows = [("folder", report["workspace"]), ("newest event", newest)]
    return Listing("Workspace", ("", ""), rows, left=2)


def _sources(report: dict[str, Any]) -> Listing:
    questions = ("questions",) if report["questions"] else ()
    counts = ("images", "captions", *questions, "candidates")
    rows = [(s["name"], _pictures(s["picture_folders"]), *(f"{s[key]:,}" for key in counts)) for s in report["sources"]]
    return Listing("Sources", ("source", "image folders", *counts), rows, left=2)


def _pictures(folders: list[dict[str, Any]]) -> str:
    if not folders:
        return "no folder set"
    return ", ".join(folder["path"] + ("" if folder["exists"] else " (missing)") for folder in folders)


def _candidates(report: dict[str, Any]) -> Listing:
    counts = report["candidates"]
    streams = {name: states for name, states in counts["by_stream"].items() if name != "gold" or any(states.values())}
    rows = [
        (readable(state), *(f"{streams[stream][state]:,}" for stream in streams), f"{total:,}")
        for state, total in counts["by_state"].items()
        if total
    ]
    return Listing("Candidates", ("state", *streams, "all"), rows)


def _overlap(report: dict[str, Any]) -> Listing:
    """Return votes and saved votes per overlap; no rows if every candidate needs one annotator."""
    rows = [
        (o["overlap"], *(f"{o[key]:,}" for key in ("candidates", "settled", "votes")), _saved(o))
        for o in report["overlap"]
    ]
    has_overlap = any(o["overlap"] != "1" for o in report["overlap"])
    headers = ("annotators", "candidates", "settled", "votes", "votes saved")
    return Listing("Overlap", headers, rows if has_overlap else [])


def _saved(overlap: dict[str, Any]) -> str:
    if "+" not in overlap["overlap"] or overlap["saved_share"] is None:
        return "–"
    return f"{overlap['saved']:,} ({overlap['saved_share']:.1%})"


def _people(report: dict[str, Any]) -> Listing:
    rows = [
        (
            p["name"],
            f"{p['role']} (retired)" if p["retired"] else p["role"],
            _minute(p["last_at"]),
            *(f"{p['decisions'][kind]:,}" for kind in _DECISIONS),
            "–" if p["speed"]["per_hour"] is None else f"{p['speed']['per_hour']:,.0f}",
        )
        for p in report["people"]
    ]
    return Listing("Annotators", ("name", "role", "last (UTC)", *_DECISIONS, "decisions/h"), rows, left=3)


def _sessions(report: dict[str, Any]) -> Listing:
    status = {True: "running", False: "process has ended", None: "on another machine"}
    rows = [
        (s["annotator"], f"{s['host']}, process {s['pid']}", _minute(s["started_at"]), status[s["running"]])
        for s in report["open_sessions"]
    ]
    return Listing("Open sessions", ("name", "process", "since (UTC)", "status"), rows, left=4)


def _export_list(report: dict[str, Any]) -> Listing:
    rows = [
        (e["name"], e["problem"], "", "")
        if "problem" in e
        else (e["name"], _freshness(e), f"{e['pairs']:,}", f"{e['event']:,}")
        for e in report["exports"]
    ]
    return Listing("Exports", ("name", "state", "pairs", "at event"), rows, left=2)


def _freshness(export: dict[str, Any]) -> str:
    states = ", ".join(export["states"])
    if export["history"] in _OTHER_HISTORIES:
        return f"{states}; {_OTHER_HISTORIES[export['history']]}"
    if not export["stale"]:
        return f"{states}; up to date"
    changes = [f"{n:,} {verb}" for n, verb in ((export["entered"], "added"), (export["left"], "removed")) if n]
    return f"{states}; stale: {' and '.join(changes)} since"


def _minute(at: str | None) -> str:
    return at[:16].replace("T", " ") if at else "never"


def scores_listing(report: dict[str, Any]) -> Listing:
    """Return the score of each annotator on gold candidates."""
    rows = [
        (
            s["name"],
            f"{s['right']:,} of {s['answers']:,}",
            f"{s['share']:.0%}",
            f"{s['low']:.0%}–{s['high']:.0%}",
            f"{s['wrongly_accepted']:,}",
            f"{s['wrongly_rejected']:,}",
        )
        for s in report["scores"]
    ]
    headers = ("name", "right", "share", "95% interval", "wrongly accepted", "wrongly rejected")
    return Listing("Accuracy on gold candidates", headers, rows)


def edits_listing(waiting: Mapping[str, int]) -> Listing:
    """Return the number of edits that wait for another annotator, by editor."""
    rows: list[tuple[Any, ...]] = [(editor, f"{count:,}") for editor, count in waiting.items()]
    return Listing("Edits that wait for another annotator", ("editor", "edits"), rows)
