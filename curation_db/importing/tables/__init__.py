"""CSV, TSV, JSONL and JSON tables with one row per image: layout, columns, rows."""
