"""`psmnet serve`: a local page to label, segment, look and correct, and the API behind it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
