"""Many scans, segmented by the same labelled ones: which they are, by whom, and what is told of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
