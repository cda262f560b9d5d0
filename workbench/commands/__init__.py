"""The commands of `negwb`: packages by what the user does with them."""
