"""Generation of candidates with verdicts from captions and VQA questions; see the README of this package.

A pipeline is a Python generator that yields model requests; it uses no network, database or clock. The runner answers
the requests from the record's answer cache or through an engine, so a resumed run sends no request twice.
"""
