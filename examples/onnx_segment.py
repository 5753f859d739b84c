"""Segments a scan with a network that `psmnet export RUN --onnx` wrote. Needs onnxruntime and SimpleITK, not psmnet.

python onnx_segment.py network.onnx scan.nii.gz mask.nii.gz
"""

import json
import sys
from itertools import permutations

import numpy as np
import onnxruntime
import SimpleITK as sitk


def resizing(old, new, smooth):
    """Matrix (new, old) of linear interpolation; smooth when shrinking."""
    step = old / new
    distance = abs((np.arange(new)[:, None] + 0.5) * step - np.arange(old) - 0.5) / (max(step, 1) if smooth else 1)
    weights = np.clip(1 - distance, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


network = onnxruntime.InferenceSession(sys.argv[1])
facts = json.loads(network.get_modelmeta().custom_metadata_map["psmnet"])
image = sitk.ReadImage(sys.argv[2])

# Permute and flip the axes (x, y, z) so that they run as the network's do.
cosines = np.array(facts["direction"]).T @ np.reshape(image.GetDirection(), (3, 3))
axes = max(permutations(range(3)), key=lambda order: abs(cosines[range(3), order]).sum())
flips = [axis for axis in range(3) if cosines[axis, axes[axis]] < 0]
scan = np.flip(sitk.GetArrayFromImage(image).T.transpose(axes), flips).T.astype(np.float32)
x_mm, y_mm, z_mm = np.array(image.GetSpacing())[list(axes)]

if scan.min() <= facts["ct"]["minimum_hu"]:
    low, high = facts["ct"]["window_hu"]
    scan = (scan.clip(low, high) - low) * (255 / (high - low))
scan = scan.clip(*np.percentile(scan, facts["clip"]))
mean, std = (scan.mean(), scan.std()) if facts["mean"] is None else (facts["mean"], facts["std"])
scan = (scan - mean) / max(std, 1e-6)

# Resize the slices to the network's pixels, and pad them in the middle to multiples of 16.
stored = scan.shape[1:]
size = [max(1, round(n * mm / facts["pixel_mm"])) for n, mm in zip(stored, (y_mm, x_mm), strict=True)]
pixels = resizing(stored[0], size[0], True) @ scan @ resizing(stored[1], size[1], True).T
multiple = facts["multiple"]
border = [((missing := -n % multiple) // 2, missing - missing // 2) for n in size]
pixels = np.pad(pixels, [(0, 0), *border], constant_values=scan.min()).astype(np.float32)

step = max(1, round(facts["neighbour_mm"] / z_mm))
last, values = len(scan) - 1, np.array([0, *map(int, facts["organs"])], dtype=np.uint16)
labels = np.zeros(scan.shape, dtype=np.uint16)
for z in range(len(scan)):
    stack = pixels[[max(z - step, 0), z, min(z + step, last)]]
    found = network.run(None, {"stacks": stack[None]})[0][0]
    found = found[:, border[0][0] : border[0][0] + size[0], border[1][0] : border[1][0] + size[1]]
    found = resizing(size[0], stored[0], False) @ found @ resizing(size[1], stored[1], False).T
    labels[z] = values[found.argmax(axis=0)]

for value, count in facts["parts"].items():  # keep as many connected parts of each organ as the labelled scan has
    mask = sitk.GetImageFromArray((labels == int(value)).astype(np.uint8))
    parts = sitk.GetArrayFromImage(sitk.RelabelComponent(sitk.ConnectedComponent(mask)))  # the largest is 1
    labels[parts > count] = 0

mask = sitk.GetImageFromArray(np.flip(labels.T, flips).transpose(np.argsort(axes)).T)
mask.CopyInformation(image)
sitk.WriteImage(mask, sys.argv[3])
