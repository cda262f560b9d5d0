"""The annotation session without a user interface; imports no textual."""
