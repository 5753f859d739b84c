"""Scans in physical space: the volume itself, its geometry, resampling and intensities."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
