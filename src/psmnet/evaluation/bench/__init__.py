"""Benchmarks: a recipe, its plan, its runs, and what is computed from them."""
