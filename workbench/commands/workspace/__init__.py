"""Commands that create a workspace, look after it and show what it holds."""
