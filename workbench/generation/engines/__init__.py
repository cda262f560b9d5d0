"""Engines answer model requests. `protocol` defines them; other packages add kinds by an entry point."""
