"""Whole scans from labelled ones: where organs lie, which labelled slices tell of which, and what is cleaned up."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
