"""Many scans segmented from the same supports: the job, the workers, the records, flags and the summary."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
