"""Batches of rows into the record, one writer per kind of row."""
