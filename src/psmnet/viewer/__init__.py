"""`psmnet serve`: a local page to segment scans, look at results and correct them, and the API behind it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
