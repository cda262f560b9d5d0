"""Referring segmentation: which pixels of an image does a phrase describe?"""
