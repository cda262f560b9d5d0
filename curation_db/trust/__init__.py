"""Acceptance by judges with a guaranteed precision: calibration, certificates, and what they accept.

A certificate states that of the candidates that a rule accepts, a share of at least `target` is right, with a
confidence. It rests on audit labels: blind answers of people on a random sample of the candidates. Pure functions.
"""
