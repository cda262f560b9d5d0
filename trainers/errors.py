"""Errors of models and trainings."""

from __future__ import annotations

from curation_db.errors import HintedError


class TrainerError(HintedError):
    """A model or a training cannot do what was requested."""


class RunRefused(TrainerError):
    """A run cannot start with its model, device, settings and data; it leaves no run folder."""


class ModelRefused(RunRefused):
    """A model cannot be loaded: it does not exist, cannot be read, or does not run on the device."""
