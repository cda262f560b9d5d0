"""Comparison of training recipes in the demo world: `negwb demo FOLDER --compare-recipes`.

Every recipe takes the same number of steps with the same number of pairs. Its learning rate is chosen from the same
values on the exam's validation scenes; the test scenes are read once, with the chosen learning rate.
"""
