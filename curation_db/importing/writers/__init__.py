"""Writers: store batches of rows in the record; one module per kind of row."""
