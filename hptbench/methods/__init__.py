"""One file per method, under its name in the literature."""
