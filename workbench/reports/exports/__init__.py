"""What is published about a frozen export: gate, card, Croissant metadata, paper, from one summary of the record."""
