"""Prepared data for other programs."""
