"""Files, processes and locks: nothing medical."""
