"""Our own performance benches: what they measure and print is fixed in BENCHES.md.

They drive the app and the record from outside and may import everything; nothing imports them. They are not tests.
"""
