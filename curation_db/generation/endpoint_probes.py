"""Results of `negwb generate probe`: the features that a server supports. A new probe replaces the old one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from curation_db.storage.ids import utc_now


@dataclass(frozen=True, slots=True)
class StoredProbe:
    url: str
    model: str
    features: Mapping[str, Any]
    """By feature: {"seen": yes | no | unknown, "evidence": one line, "value": details}."""
    probed_at: str


def store_probe(connection: Connection, url: str, model: str, features: Mapping[str, Any]) -> None:
    """Store the features of a probe; `url` must not contain a user name or password."""
    encoded = json.dumps(features, ensure_ascii=False, sort_keys=True)
    connection.execute(
        text("""INSERT INTO endpoint_probe(url, model, features, probed_at) VALUES (:url, :model, :features, :now)
                ON CONFLICT (url, model) DO UPDATE SET features = excluded.features, probed_at = excluded.probed_at"""),
        {"url": url, "model": model, "features": encoded, "now": utc_now()},
    )


def read_probe(connection: Connection, url: str, model: str) -> Mapping[str, Any] | None:
    """Return the features of this model on this server; None: it was never probed."""
    encoded = connection.execute(
        text("SELECT features FROM endpoint_probe WHERE url = :url AND model = :model"), {"url": url, "model": model}
    ).scalar()
    return None if encoded is None else dict(json.loads(encoded))


def list_probes(connection: Connection) -> list[StoredProbe]:
    """Return all probes, sorted by server and model."""
    rows = connection.execute(text("SELECT url, model, features, probed_at FROM endpoint_probe ORDER BY url, model"))
    return [StoredProbe(row.url, row.model, json.loads(row.features), row.probed_at) for row in rows]
