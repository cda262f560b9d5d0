"""Trainings and generations as separate processes: start, monitor and stop them. Imports no textual, no typer and no
torch."""
