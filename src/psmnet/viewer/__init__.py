"""`psmnet serve`: a local page to label, segment, look and correct, and the API behind it."""
