"""The scripted annotator: what a person who sees the picture perfectly would decide.

From the truth alone: the judges' answers never come in.
"""

from __future__ import annotations

from typing import Literal

from curation_db.enums import Kind, Reason
from workbench.demo.simulation.proposer import Proposal
from workbench.demo.world.world import Scene

Decision = tuple[Literal[Kind.ACCEPT], None] | tuple[Literal[Kind.REJECT], Reason]


def right_decision(scene: Scene, proposal: Proposal) -> Decision:
    """Accept, or reject with the first reason that applies: what is there counts before how it is said."""
    if scene.has(proposal.concept):
        return Kind.REJECT, Reason.PRESENT
    if proposal.flaw is not None:
        return Kind.REJECT, proposal.flaw
    return Kind.ACCEPT, None
