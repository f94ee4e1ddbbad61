"""What the project says, held against the data: all that is wrong, at once, each with place, value and remedy."""
