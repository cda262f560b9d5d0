"""Trainings and generations as processes of their own: start them, find them again, stop them. Imports no textual, no
typer and no torch."""
