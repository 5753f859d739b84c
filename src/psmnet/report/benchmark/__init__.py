"""Reports that compare methods."""
