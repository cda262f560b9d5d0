"""Reports shared by commands, JSON and screens: what they count and how they write it."""
