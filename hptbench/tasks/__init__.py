"""Task families: what is tuned."""
