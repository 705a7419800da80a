"""A study as one page: what was compared, what may be concluded, and pictures of it."""
