import pytest
import torch

from psmnet.config import ModelConfig
from psmnet.errors import ConfigError
from psmnet.models.build import build_encoder, build_model
from psmnet.models.encoder import CompactEncoder, ResNetEncoder

# torchvision's published parameter counts, less the classifier (1000 x (features + 1)).
PARAMETERS = {
    18: 11_689_512 - 1000 * 513,
    34: 21_797_672 - 1000 * 513,
    50: 25_557_032 - 1000 * 2049,
    101: 44_549_160 - 1000 * 2049,
}
BATCHNORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def shapes(layers: int, output_stride: int = 8) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(t.shape) for name, t in ResNetEncoder(layers, 16, output_stride).state_dict().items()}


@pytest.mark.parametrize("size", [(32, 32), (48, 64)])
def test_compact_has_a_quarter_of_the_size(size: tuple[int, int]):
    encoder = CompactEncoder(16, widths=(8, 8, 16, 16))
    assert encoder.stride == 4
    assert encoder(torch.zeros(2, 1, *size)).shape == (2, 16, size[0] // 4, size[1] // 4)


@pytest.mark.parametrize("output_stride", [4, 8])
@pytest.mark.parametrize("layers", [18, 50])
def test_resnet_shapes(layers: int, output_stride: int):
    encoder = ResNetEncoder(layers, 16, output_stride).eval()
    assert encoder.stride == output_stride
    with torch.no_grad():
        features = encoder(torch.zeros(1, 1, 32, 48))
    assert features.shape == (1, 16, 32 // output_stride, 48 // output_stride)


def test_resnet18_has_torchvisions_names():
    expected = {"conv1.weight", "projection.weight", *(f"bn1.{entry}" for entry in BATCHNORM)}
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            prefix = f"layer{layer}.{block}"
            for number in (1, 2):
                expected.add(f"{prefix}.conv{number}.weight")
                expected |= {f"{prefix}.bn{number}.{entry}" for entry in BATCHNORM}
        if layer > 1:
            expected.add(f"layer{layer}.0.downsample.0.weight")
            expected |= {f"layer{layer}.0.downsample.1.{entry}" for entry in BATCHNORM}
    assert set(shapes(18)) == expected


def test_resnet101_has_torchvisions_names_and_shapes():
    found = shapes(101)
    for name, shape in {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "layer1.0.conv1.weight": (64, 64, 1, 1),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.bias": (256,),
        "layer1.2.conv1.weight": (64, 256, 1, 1),
        "layer2.0.conv2.weight": (128, 128, 3, 3),
        "layer2.0.downsample.0.weight": (512, 256, 1, 1),
        "layer3.22.conv3.weight": (1024, 256, 1, 1),
        "layer3.22.bn3.running_mean": (1024,),
        "layer4.0.downsample.0.weight": (2048, 1024, 1, 1),
        "layer4.2.conv2.weight": (512, 512, 3, 3),
        "projection.weight": (16, 2048, 1, 1),
    }.items():
        assert found[name] == shape
    # 1 + 33 x 3 + 4 convolutions, a BatchNorm of five tensors after each, and our projection.
    assert len(found) == 104 * 6 + 1
    assert not any(name.startswith(("layer3.23", "layer1.1.downsample", "fc")) for name in found)


@pytest.mark.parametrize("layers", PARAMETERS)
def test_resnets_have_torchvisions_number_of_parameters(layers: int):
    with torch.device("meta"):
        encoder = ResNetEncoder(layers, 16)
    counted = sum(p.numel() for name, p in encoder.named_parameters() if not name.startswith("projection"))
    assert counted == PARAMETERS[layers]


@pytest.mark.parametrize(
    ("output_stride", "dilations", "strides"),
    [(8, [(1, 1), (1, 1), (1, 2), (2, 4)], [1, 2, 1, 1]), (4, [(1, 1), (1, 2), (2, 4), (4, 8)], [1, 1, 1, 1])],
)
def test_resolution_is_kept_by_dilation_as_in_deeplab(
    output_stride: int, dilations: list[tuple[int, int]], strides: list[int]
):
    with torch.device("meta"):
        encoder = ResNetEncoder(50, 16, output_stride)
    for layer, (first, rest), stride in zip(
        (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4), dilations, strides, strict=True
    ):
        assert layer[0].conv2.dilation == layer[0].conv2.padding == (first, first)
        assert layer[0].conv2.stride == layer[0].downsample[0].stride == (stride, stride)
        assert all(block.conv2.dilation == (rest, rest) for block in list(layer)[1:])
        assert all(block.conv1.stride == (1, 1) for block in layer)  # the stride is on the 3x3


def test_output_stride_changes_no_tensor():
    assert shapes(101, 4) == shapes(101, 8)


def test_a_grey_slice_is_repeated_to_three_channels():
    encoder = ResNetEncoder(18, 8).eval()
    grey = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(encoder(grey), encoder(grey.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("name", ["compact", "resnet18", "resnet34", "resnet50", "resnet101"])
def test_every_named_encoder_is_built(name: str):
    with torch.device("meta"):
        encoder = build_encoder(ModelConfig(encoder=name, channels=16))
    assert encoder.stride == 4


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match=r"resnet19.*resnet101"):
        build_model(ModelConfig(encoder="resnet19"))
    with pytest.raises(ConfigError, match=r"unet.*psmnet"):
        build_model(ModelConfig(method="unet"))
