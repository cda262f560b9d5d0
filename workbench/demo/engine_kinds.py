"""Registers the demo's engine kind without importing the demo; opening an engine of this kind imports it."""

from __future__ import annotations

from workbench.generation.engines.registry import register_engine


def register_demo_engines() -> None:
    register_engine("scripted", "workbench.demo.simulation.scripted_engine:make")
