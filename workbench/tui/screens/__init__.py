"""The screens, a file each, with their style sheet beside them."""
