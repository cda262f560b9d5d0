"""The correct decision about a proposal, from the ground truth of the scene alone."""

from __future__ import annotations

from typing import Literal

from curation_db.enums import Kind, Reason
from workbench.demo.simulation.proposer import Proposal
from workbench.demo.world.world import Scene

Decision = tuple[Literal[Kind.ACCEPT], None] | tuple[Literal[Kind.REJECT], Reason]


def right_decision(scene: Scene, proposal: Proposal) -> Decision:
    """Return accept, or reject with the first reason that applies: a present concept before a flaw of the text."""
    if scene.has(proposal.concept):
        return Kind.REJECT, Reason.PRESENT
    if proposal.flaw is not None:
        return Kind.REJECT, proposal.flaw
    return Kind.ACCEPT, None
