"""How files of other people enter the record: a reader per format, one pipeline that writes, one report.

Good rows go in, every bad one is listed with its file and position; nothing in the record is ever overwritten, and
importing the same file again changes nothing.
"""
