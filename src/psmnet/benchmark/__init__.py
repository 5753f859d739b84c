"""Methods side by side: a recipe, its cells, their records, and what is reckoned from them."""
