"""The parts of a card: its text, the framed image, the panel below it, the editor of its text."""
