"""Hostile inputs and crashes: `pytest tests/robustness` runs them all and prints how many were tried and how each went."""
