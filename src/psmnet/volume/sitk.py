"""Volumes to SimpleITK images and back: array and geometry, no metadata."""

import importlib
from typing import Any

import numpy as np

from psmnet.volume.volume import Volume


def as_image(volume: Volume) -> Any:
    """A scan as a SimpleITK image: array and geometry only."""
    image = simpleitk().GetImageFromArray(np.ascontiguousarray(volume.array_zyx))
    image.SetSpacing(volume.spacing_mm)
    image.SetOrigin(volume.origin_mm)
    image.SetDirection(volume.direction.ravel().tolist())
    return image


def simpleitk() -> Any:
    """SimpleITK, silent; Any because it ships no types and strict mypy refuses its functions."""
    sitk = importlib.import_module("SimpleITK")
    sitk.ProcessObject.GlobalWarningDisplayOff()
    return sitk


def volume_of(image: Any) -> Volume:
    """A volume from a 3D SimpleITK image, without its metadata."""
    direction = np.array(image.GetDirection()).reshape(3, 3)
    return Volume(simpleitk().GetArrayFromImage(image), image.GetSpacing(), image.GetOrigin(), direction)
