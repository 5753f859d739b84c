"""Loads torchvision's published ResNet weights into the encoder, without torchvision.

It reads COCO weights of `deeplabv3_resnet101` (their `backbone.*`) and ImageNet weights of a ResNet.
"""

import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from psmnet.errors import ConfigError, InputError
from psmnet.models.encoder import ResNetEncoder
from psmnet.system import Lost, Refused, atomic_path, blocks, checked, sha256_of


def load_torchvision(model: nn.Module, source: str, sha256: str | None, folder: Path) -> str:
    """Load a ResNet's weights into `model.encoder`.

    Args:
        model: a method with a ResNet encoder.
        source: a .pth or .safetensors file, or an https URL.
        sha256: checksum of the file (or its first 8 or more hex digits, as torchvision's names carry); a URL needs it.
        folder: where a download is kept.

    Returns:
        one line about what was loaded.

    Raises:
        ConfigError: the encoder is not a ResNet, or a URL is not https or has no checksum.
        InputError: no such file, a failed download, another checksum, or tensors that don't fit.
    """
    encoder = model.encoder
    if not isinstance(encoder, ResNetEncoder):
        raise ConfigError(
            "encoder weights need a ResNet, and this encoder is none", "use preset paper", code="preset-paper"
        )
    fetched = re.match(r"https?://", source) is not None
    path = _fetch(source, sha256, folder) if fetched else Path(source)
    if not path.is_file():
        raise InputError(f"no encoder weights {source}", "give a file or an https URL")
    if sha256 is not None:
        found = sha256_of(path)
        if len(sha256) < 8 or not found.startswith(sha256.lower()):
            if fetched:
                path.unlink()  # else the damaged file would be used again
            raise InputError(f"{path.name} has SHA-256 {found}, not {sha256}", "fetch it again, or give its checksum")
    tensors = {name.removeprefix("backbone."): tensor for name, tensor in _read(path).items()}
    own = encoder.state_dict()
    wanted = {name for name in own if not name.startswith("projection.")}
    # Old files have no counters of batches.
    missing = sorted(name for name in wanted - set(tensors) if not name.endswith("num_batches_tracked"))
    misfits = sorted(name for name in wanted & set(tensors) if tensors[name].shape != own[name].shape)
    if missing or misfits:
        what = f"lacks {missing[0]}" if missing else f"has {misfits[0]} of shape {tuple(tensors[misfits[0]].shape)}"
        raise InputError(f"{path.name} {what}", "give weights of the same ResNet, named as torchvision names them")
    fitting = {name: tensor for name, tensor in tensors.items() if name in wanted}
    encoder.load_state_dict(own | fitting)
    return f"encoder: {len(fitting)} tensors from {path.name}"


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise InputError(f"{path.name} is not a safetensors file ({error})", "fetch it again") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle, zip, runtime and key errors for unreadable files
        raise InputError(f"{path.name} is not a PyTorch weights file", "fetch it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path.name} holds a {type(content).__name__}, not named tensors", "give a state dict")
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}


def _fetch(url: str, sha256: str | None, folder: Path) -> Path:
    if sha256 is None:
        raise ConfigError(f"no checksum for {url}", "give its SHA-256", code="encoder-sha256")
    try:
        checked(url)
    except InputError as error:
        raise ConfigError(f"{url} is not https", "give an https URL or a file") from error
    target = folder / (url.rsplit("/", 1)[-1] or "encoder.pth")
    if not target.exists():
        try:
            with atomic_path(target) as temporary, temporary.open("wb") as stream:
                stream.writelines(blocks(url))
        except (Lost, Refused) as error:
            raise InputError(f"can't fetch {target.name}: {error}", "fetch it another way and give the file") from error
    return target
