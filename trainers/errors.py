"""Errors of models and trainings: a message of one line and a hint on what to do. Imports nothing."""

from __future__ import annotations


class TrainerError(Exception):
    """A model or a training cannot do what was requested."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ModelRefused(TrainerError):
    """A model cannot be loaded: it does not exist, cannot be read, or does not run on the device."""
