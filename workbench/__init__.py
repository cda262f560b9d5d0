"""The application: command line, annotation, generation, jobs, reports, demo and screens. Imports nothing itself."""

from __future__ import annotations


def version() -> str:
    # imported here: takes 40 ms, and most commands do not need it
    from importlib.metadata import version as installed  # noqa: PLC0415

    return installed("negwb")
