"""Corrections of a model that need no training data and no training: what any tuning has to beat."""
