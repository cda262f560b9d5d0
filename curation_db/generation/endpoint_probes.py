"""What servers proved to honour, as `negwb generate probe` saw it; a later look replaces an earlier one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from curation_db.storage.ids import utc_now


@dataclass(frozen=True, slots=True)
class Probed:
    """A look at one model of one server."""

    url: str
    model: str
    features: Mapping[str, Any]
    """Feature to {"seen": yes | no | unknown, "evidence": one line, "value": more}."""
    probed_at: str


def store_probe(connection: Connection, url: str, model: str, features: Mapping[str, Any]) -> None:
    """Keep what was seen; `url` without name and password."""
    told = json.dumps(features, ensure_ascii=False, sort_keys=True)
    connection.execute(
        text("""INSERT INTO endpoint_probe(url, model, features, probed_at) VALUES (:url, :model, :features, :now)
                ON CONFLICT (url, model) DO UPDATE SET features = excluded.features, probed_at = excluded.probed_at"""),
        {"url": url, "model": model, "features": told, "now": utc_now()},
    )


def read_probe(connection: Connection, url: str, model: str) -> Mapping[str, Any] | None:
    """The features of this model of this server; None: it was never looked at."""
    found = connection.execute(
        text("SELECT features FROM endpoint_probe WHERE url = :url AND model = :model"), {"url": url, "model": model}
    ).scalar()
    return None if found is None else dict(json.loads(found))


def list_probes(connection: Connection) -> list[Probed]:
    """All looks, by server and model."""
    rows = connection.execute(text("SELECT url, model, features, probed_at FROM endpoint_probe ORDER BY url, model"))
    return [Probed(row.url, row.model, json.loads(row.features), row.probed_at) for row in rows]
