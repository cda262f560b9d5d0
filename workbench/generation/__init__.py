"""Generating: captions and questions in, candidates with verdicts out (DESIGN section 8).

A pipeline is a generator of questions to models (`asks`) that knows no network and no database; the runner answers
them from the record's memory or through an engine, so a run that stopped goes on without asking anything twice.
"""
