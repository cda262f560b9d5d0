"""Audits the negation in a caption corpus of any size: the shares of captions and words that negate. See README.md."""
