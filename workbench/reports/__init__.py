"""Reports that commands, JSON output and screens share: their counts, tables and cells."""
