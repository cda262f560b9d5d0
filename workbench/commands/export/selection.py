"""The selection of `negwb export`: its options, or that of an earlier export."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from curation_db.enums import Reason, State
from workbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curation_db.exporting.selection import ExportFilter, ExportQuery
    from workbench.workspace.layout import Workspace


class ChosenPairs(NamedTuple):
    """The options that select pairs, as the user gave them."""

    states: tuple[State, ...]
    reasons: tuple[Reason, ...]
    edits: bool
    hasty: bool
    auto: bool
    query: str
    min_votes: int
    min_agreement: float
    people: tuple[str, ...]
    policies: tuple[str, ...]


NOTHING_CHOSEN: Final = ChosenPairs((), (), True, True, True, "", 0, 0.0, (), ())


def selection_of(workspace: Workspace, chosen: ChosenPairs, at: int | None) -> ExportFilter:
    """Return the filter of the options.

    Raises:
        UsageError: a name or the query is not known, or the options contradict each other.
    """
    from curation_db.exporting.selection import ExportFilter

    states = chosen.states or (State.ACCEPTED,)
    if chosen.reasons and State.REJECTED not in states:
        raise UsageError("--reason needs --state rejected: other pairs have no reason")
    return ExportFilter(
        states,
        edits=chosen.edits,
        hasty=chosen.hasty,
        reasons=chosen.reasons,
        auto=chosen.auto,
        deciders=_deciders(workspace, chosen.people, chosen.policies),
        min_votes=chosen.min_votes,
        min_agreement=chosen.min_agreement,
        query=_query(workspace, chosen.query, at) if chosen.query else None,
    )


def selection_again(workspace: Workspace, name: str, chosen: ChosenPairs) -> ExportFilter:
    """Return the selection of the export `name`; images of benchmarks are left out as they are now."""
    from curation_db.exporting.manifest import ManifestError, read_manifest
    from curation_db.exporting.selection import ExportFilter
    from curation_db.search.export_query import parse_query
    from workbench.jobs.training.runs import find_export

    if chosen != NOTHING_CHOSEN:
        raise UsageError("--again repeats a selection as it is", hint="leave the other filters out")
    folder = find_export(workspace, name)
    try:
        selection = ExportFilter.from_dict(read_manifest(folder).selection, parse_query)
    except (ManifestError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the selection of the export {folder.name} cannot be read: {error}") from error
    if selection.query is not None:
        _refresh(workspace, selection.query.text)
    return replace(selection, benchmarks=False, held_out=frozenset())


def _query(workspace: Workspace, line: str, at: int | None) -> ExportQuery:
    from curation_db.search.export_query import query_of
    from curation_db.search.facets import unknown_name
    from curation_db.storage.store import open_read_only
    from workbench.commands.decide.browse import parse_query

    view = parse_query(line)
    if not view.terms:
        raise UsageError(f"the query {line!r} has no term", hint="see: negwb browse --help")
    _refresh(workspace, line)
    with open_read_only(workspace.database) as store, store.read() as connection:
        if problem := unknown_name(connection, view):
            raise UsageError(problem, hint="see: negwb browse --help")
        query = query_of(connection, view)
    if at is not None and not query.is_fixed:
        raise UsageError(
            f"--at {at} and the query {line!r}: its answer is that of the record of now",
            hint="with --at use terms such as cue: position: type: concept: source: or words",
        )
    return query


def _refresh(workspace: Workspace, line: str) -> None:
    from curation_db.storage.store import open_store
    from workbench.commands.decide.browse import parse_query, refresh_indexes

    with open_store(workspace.database) as store:
        refresh_indexes(store, workspace, parse_query(line))


def _deciders(workspace: Workspace, people: Sequence[str], policies: Sequence[str]) -> tuple[str, ...]:
    """Return pseudonyms of the annotators, and the names of all versions of the policies.

    Raises:
        UsageError: the record does not have one of them.
    """
    from curation_db.exporting.pseudonyms import policies_of, pseudonyms_of
    from curation_db.storage.store import open_read_only

    if not people and not policies:
        return ()
    deciders: set[str] = set()
    with open_read_only(workspace.database) as store, store.read() as connection:
        for name in people:
            known = pseudonyms_of(connection, name)
            if not known:
                raise UsageError(f"no annotator is called {name!r}", hint="see: negwb annotators")
            deciders.update(known)
        for name in policies:
            actors = policies_of(connection, name)
            if not actors:
                raise UsageError(f"no policy {name!r} accepted a candidate", hint="see: negwb accept --help")
            deciders.update(actors)
    return tuple(sorted(deciders))
