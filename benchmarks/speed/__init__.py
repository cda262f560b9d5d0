"""Speed benches of negwb. Their names and JSON keys are fixed, so that runs of different versions can be compared.

The benches drive the app and the record from outside and may import everything; nothing imports them. They are not
tests.
"""
