"""hptbench: a testbed of hyperparameter optimisation methods."""

__version__ = "0.1.0"
