"""Trainings and their runs: preparation, child processes, monitoring, and what is made of finished runs."""
