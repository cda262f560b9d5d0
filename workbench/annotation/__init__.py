"""The annotation session without a user interface. Imports no textual."""
