"""Endpoint probes are stored; a new probe replaces the old one."""

from __future__ import annotations

from pathlib import Path

from curation_db.generation.endpoint_probes import list_probes, read_probe, store_probe
from curation_db.storage.store import create_store


def test_a_new_probe_replaces_the_stored_one(tmp_path: Path) -> None:
    seen = {"logprobs": {"seen": "yes", "evidence": "20 Tökens", "value": 20}}
    with create_store(tmp_path / "curation.db") as store:
        with store.write() as connection:
            store_probe(connection, "http://b/v1", "m", {})
            store_probe(connection, "http://a/v1", "m", {"chat": {"seen": "no"}})
            store_probe(connection, "http://a/v1", "m", seen)
        with store.read() as connection:
            assert read_probe(connection, "http://a/v1", "m") == seen
            assert read_probe(connection, "http://b/v1", "m") == {}
            assert read_probe(connection, "http://a/v1", "other") is None
            probes = list_probes(connection)
    assert [(each.url, each.features) for each in probes] == [("http://a/v1", seen), ("http://b/v1", {})]
    assert probes[0].probed_at > "2026"
