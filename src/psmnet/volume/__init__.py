"""Scans in physical space: the volume itself, its geometry, resampling and intensities."""
