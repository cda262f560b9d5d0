"""Names of the runs and exports of an ablation, `EXPORT.ablate-ARM[-seed-N]`, and of its arms."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from curation_db.enums import Reason

ACCEPTED: Final = "accepted"
"""Name of the arm that the others are compared with."""
WITHOUT_AUTO: Final = "without-auto"
ARMS: Final = (ACCEPTED, *Reason, WITHOUT_AUTO)
"""Names of all arms; that of a reason is the arm with the pairs that were rejected for it."""
_RUN = re.compile(rf"(?P<export>.+)\.ablate-(?P<arm>{'|'.join(ARMS)})(?:-seed-(?P<seed>\d+))?(?:-\d+)?")


class ArmName(NamedTuple):
    export: str
    """The export of the accepted pairs."""
    arm: str
    seed: int | None
    """None: the seed of the recipe."""


def arm_of(run: str) -> ArmName | None:
    """Return the ablation arm that the name of a run states; None for another run."""
    found = _RUN.fullmatch(run)
    return found and ArmName(found["export"], found["arm"], None if found["seed"] is None else int(found["seed"]))
