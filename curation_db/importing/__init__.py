"""Imports data files into the record: one reader per format, one pipeline, one report. See README.md.

Valid rows are stored, and each refused row is listed with its file and position. No stored value is overwritten, and
a second import of the same file changes nothing.
"""
