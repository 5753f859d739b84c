"""Data sets on disk: cases, folds, settings, preparation, checks, pseudo-labels and synthetic patients. No torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
