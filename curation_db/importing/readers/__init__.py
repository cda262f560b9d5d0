"""One reader per file format: a file in, batches of rows out."""
