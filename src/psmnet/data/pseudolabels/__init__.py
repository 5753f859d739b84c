"""Superpixels and supervoxels: the targets of self-supervised training."""
