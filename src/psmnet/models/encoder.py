"""Encoders: grey slices to feature maps.

`CompactEncoder` [ours] can be trained from scratch on a laptop; `ResNetEncoder` [published] is the paper's. Its
parameters have torchvision's names, so that torchvision's published weights can be loaded.
"""

from torch import Tensor, nn
from torch.nn import functional


class ConvBlock(nn.Module):
    """Two 3x3 convolutions with GroupNorm and a residual path."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, outputs)
        self.skip = (
            nn.Identity() if stride == 1 and inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return functional.relu(y + self.skip(x), inplace=True)


class CompactEncoder(nn.Module):
    """A U-shaped encoder: down to 1/16, back up to 1/4 with skip connections.

    GroupNorm, so that results do not depend on the batch or the number of processes.

    Args:
        channels: C of the output.
        widths: channels at 1/2, 1/4, 1/8, 1/16.
        inputs: channels of the images.
    """

    stride = 4
    multiple = 16  # height and width must divide by this

    def __init__(
        self, channels: int, widths: tuple[int, int, int, int] = (32, 64, 128, 256), *, inputs: int = 1
    ) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = widths
        self.stem_size, self.code_size = half, sixteenth
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, half, 5, 2, 2, bias=False), nn.GroupNorm(8, half), nn.ReLU(inplace=True)
        )
        self.down4 = nn.Sequential(ConvBlock(half, quarter, 2), ConvBlock(quarter, quarter))
        self.down8 = nn.Sequential(ConvBlock(quarter, eighth, 2), ConvBlock(eighth, eighth))
        self.down16 = nn.Sequential(ConvBlock(eighth, sixteenth, 2), ConvBlock(sixteenth, sixteenth))
        self.lateral8 = nn.Conv2d(sixteenth, eighth, 1, bias=False)
        self.up8 = ConvBlock(eighth, eighth)
        self.lateral4 = nn.Conv2d(eighth, quarter, 1, bias=False)
        self.up4 = ConvBlock(quarter, channels)
        self.head = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, C, H / 4, W / 4)."""
        return self.levels(images)[0]

    def levels(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, H, W) -> maps (B, C, H / 4, W / 4) and (B, C', H / 8, W / 8), and the pooled deepest one (B, D)."""
        return self.levels_of_stem(self.stem(images))

    def levels_of_stem(self, at2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The stem's map (B, C'', H / 2, W / 2) to what `levels` returns."""
        at4 = self.down4(at2)
        at8 = self.down8(at4)
        at16 = self.down16(at8)
        at8 = self.up8(at8 + _twice(self.lateral8(at16)))
        at4 = self.up4(at4 + _twice(self.lateral4(at8)))
        return self.head(at4), at8, at16.mean(dim=(-2, -1))


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class ResNetEncoder(nn.Module):
    """A dilated ResNet of 18, 34, 50 or 101 layers and a 1x1 convolution to C channels, without bias.

    BatchNorm, as published: in training, support and query must be encoded in one call.

    Args:
        layers: 18, 34, 50 or 101.
        channels: C.
        output_stride: 8 (DeepLabV3's) or 4.
    """

    multiple = 8
    _BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # noqa: RUF012  # a table

    def __init__(self, layers: int, channels: int, output_stride: int = 8) -> None:
        super().__init__()
        self.stride = output_stride
        block = BasicBlock if layers < 50 else Bottleneck
        self.inplanes, self.dilation, self.current_stride = 64, 1, 4
        self.limit = output_stride
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        counts = self._BLOCKS[layers]
        self.layer1 = self._layer(block, 64, counts[0], 1)
        self.layer2 = self._layer(block, 128, counts[1], 2)
        self.layer3 = self._layer(block, 256, counts[2], 2)
        self.layer4 = self._layer(block, 512, counts[3], 2)
        self.code_size = 512 * block.expansion
        self.projection = nn.Conv2d(self.code_size, channels, 1, bias=False)

    def _layer(self, block: "type[BasicBlock | Bottleneck]", planes: int, count: int, stride: int) -> nn.Sequential:
        first_dilation = self.dilation
        if self.current_stride * stride > self.limit:  # keep the resolution, widen the reach
            self.dilation *= stride
            stride = 1
        self.current_stride *= stride
        blocks = [block(self.inplanes, planes, stride, first_dilation)]
        self.inplanes = planes * block.expansion
        blocks += [block(self.inplanes, planes, 1, self.dilation) for _ in range(count - 1)]
        return nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, C, H / stride, W / stride); the grey slice is repeated as three channels."""
        features: Tensor = self.projection(self._stages(images)[1])
        return features

    def levels(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, H, W) -> maps (B, C', H / 4, W / 4) and (B, C, H / 8, W / 8), and the pooled deepest one (B, D)."""
        quarter, deepest = self._stages(images)
        features = self.projection(deepest)
        pooled = deepest.mean(dim=(-2, -1))
        if self.stride == 4:
            return features, functional.avg_pool2d(features, 2), pooled
        return quarter, features, pooled

    def _stages(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The first stage's map and the last one's."""
        x = functional.relu(self.bn1(self.conv1(images.expand(-1, 3, -1, -1))), inplace=True)
        quarter = self.layer1(functional.max_pool2d(x, 3, 2, 1))
        return quarter, self.layer4(self.layer3(self.layer2(quarter)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (ResNet-18 and 34)."""

    expansion = 1

    def __init__(self, inplanes: int, planes: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = _shortcut(inplanes, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inplanes, h, w) -> (B, planes, h / stride, w / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return functional.relu(y + self.downsample(x), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions (ResNet-50 and 101), the stride on the 3x3."""

    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.downsample = _shortcut(inplanes, 4 * planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inplanes, h, w) -> (B, 4 planes, h / stride, w / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = functional.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return functional.relu(y + self.downsample(x), inplace=True)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
