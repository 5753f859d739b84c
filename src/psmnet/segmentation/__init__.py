"""Whole scans from labelled ones: where organs lie, which labelled slices tell of which, and what is cleaned up."""
