"""The top floor of negwb: command line, demo world, screens. Importing it loads nothing."""

from __future__ import annotations


def version() -> str:
    """The installed version of negwb."""
    # deferred: 40 ms that most starts can do without
    from importlib.metadata import version as installed  # noqa: PLC0415

    return installed("negwb")
