"""The workspace on disk: its folders, its settings, and how it is created."""
