"""Prompt files for tests."""

from __future__ import annotations

SMALLEST_FILE = """
name = "mine"
pipeline = "P2"
about = "mine"
source = "me"
[presence]
[[presence.messages]]
role = "user"
text = "{question}"
picture = true
[rewrite]
[[rewrite.messages]]
role = "user"
text = "{caption} {question}"
"""
"""A valid file with the two stages that P2 needs, one message each."""
