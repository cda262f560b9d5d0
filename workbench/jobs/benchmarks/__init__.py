"""Benchmarks that need the record or the judges of the workspace: making, judging and evaluating them."""
