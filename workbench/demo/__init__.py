"""The offline demo world: drawn scenes that know their truth, captions, a scripted proposer, scripted judges.

Pure: no database, no torch, no screen. Everything is a function of a seed; nothing pretends to be a model.
"""
