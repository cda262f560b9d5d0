"""Engines: whatever answers questions. `protocol` is what they all are; a third party adds one by an entry point."""
