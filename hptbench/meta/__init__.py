"""Meta-learning: from a data set to recommended configurations and warm starts."""
