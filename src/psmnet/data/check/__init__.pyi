from .dataset_check import Report, check_dataset

__all__ = ["Report", "check_dataset"]
