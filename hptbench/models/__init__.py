"""Surrogate models that methods and tasks share."""
