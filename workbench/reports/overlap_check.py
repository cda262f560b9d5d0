"""Compares the overlap of the candidates with the setting in negwb.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Connection


class OverlapMismatch(NamedTuple):
    """How many candidates have another overlap than the setting."""

    setting: str
    candidates: int

    @property
    def command(self) -> str:
        """The command that gives these candidates the overlap of the setting."""
        return f"negwb queue overlap {self.setting}"

    @property
    def warning(self) -> str:
        """One line; empty without a mismatch."""
        if not self.candidates:
            return ""
        those = "candidate was" if self.candidates == 1 else "candidates were"
        return (
            f"overlap is {self.setting} in negwb.toml, but {self.candidates:,} {those} imported with another overlap; "
            f"to change them: {self.command}"
        )


def overlap_mismatch(connection: Connection, setting: str) -> OverlapMismatch:
    """Count the candidates whose overlap differs from `setting`."""
    from curation_db.review.overlaps import differing  # noqa: PLC0415

    return OverlapMismatch(setting, differing(connection, setting))
