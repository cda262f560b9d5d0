"""Readers of the formats: each adds the captions of one part to the collector."""
