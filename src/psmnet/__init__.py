"""Few-shot medical image segmentation: one labelled scan in, the same organs out in other scans.

What stands in `__init__.pyi` is the public API; names are imported when they are used, so that `import psmnet` is
quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
