"""The kinds of corrections, for the command line: imports nothing."""

from enum import StrEnum


class CorrectionKind(StrEnum):
    PROJECTION = "projection"
    STEERING = "steering"
    ROUTE = "route"
