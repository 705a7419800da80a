"""What a study leaves, and how to read it."""
