"""negwb.toml: reading, checking, listing and editing of the settings, and the tables that they are read into."""
