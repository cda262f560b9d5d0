"""Data formats of other training programs, derived from a frozen export and the files of its images."""
