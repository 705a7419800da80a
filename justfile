# What CI runs, in the environment at hand.
check: lint types layers test

lint:
    ruff format --check .
    ruff check .

types:
    mypy

layers:
    lint-imports

test:
    pytest -m ''

# Without the tests that are marked slow.
fast:
    pytest

# The figures of the core, as ratios.
bench:
    python benchmarks/core.py

# docs/RESULTS.md from the schema.
docs:
    python scripts/results_md.py

# paper/paper.pdf, from what is published in results/ (needs a TeX).
paper:
    make paper
