"""The offline demo: drawn scenes with ground truth, captions, a scripted proposer and scripted judges.

`world` and `simulation` are functions of a seed. Everything that is drawn, scripted or simulated is named so.
"""
