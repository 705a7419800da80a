"""Hydra's sweeper ``hptbench``. Hydra imports it whenever any application starts, so it imports next to nothing."""
