"""Readers: one module per file format; each yields batches of rows."""
