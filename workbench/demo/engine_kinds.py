"""Registers the engine of the demo. Nothing of the drawn world is imported before an engine of this kind is opened."""

from __future__ import annotations

from workbench.generation.engines.registry import register_engine


def register_demo_engines() -> None:
    """Let [engines] and the command line name the kind "scripted"."""
    register_engine("scripted", "workbench.demo.simulation.scripted_engine:make")
