"""Tasks: one module per file format or benchmark; each reads a file into a `benchmarks.task.Task`."""
