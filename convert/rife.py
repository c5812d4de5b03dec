"""The networks of RIFE 4.x, after the published method and the shapes of the published weights.

Notation used in every shape below: B batch, H x W the input's size in pixels (multiples of four times the coarsest
scale). A *flow* holds four channels, (x, y) from the wanted phase to picture 0, then (x, y) to picture 1, in pixels:
what is at `p` in the wanted picture is found at `p + flow` in the other.

A network in half precision computes its convolutions in 16 bits, and flows, mask and positions in 32: rounded to 11
bits, a position in a picture 1920 wide would be off by up to half a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
"""Of every leaky ReLU."""


@dataclass(frozen=True)
class Layout:
    """Properties that tell one version from another."""

    version: str
    widths: tuple[int, ...]
    """Channels of each block, coarse to fine."""
    encoder: tuple[int, int] | None
    """Hidden and output channels of the encoder that every picture goes through, from 4.7 on."""
    head: int
    """Channels a block gives: four of flow, one of mask, and (from 4.18 on eight) for the next block to go on with."""
    depth: int = 8
    """Residual convolutions in a block."""

    @property
    def scales(self) -> tuple[int, ...]:
        """Factors by which each block looks coarser than the input: 8, 4, 2, 1 or 16, 8, 4, 2, 1."""
        return tuple(1 << exponent for exponent in reversed(range(len(self.widths))))

    @property
    def adds_masks(self) -> bool:
        """Returns whether a block improves the mask before it (without an encoder), or makes a new one."""
        return self.encoder is None

    @property
    def hints(self) -> int:
        """Channels a block hands to the next beside flow and mask. Up to 4.17 the sixth channel is left unused."""
        return self.head - 5 if self.head > 6 else 0


LAYOUTS = (
    Layout("4.6", (192, 128, 96, 64), None, 6),
    Layout("4.15.lite", (128, 96, 64, 48), (16, 4), 6),
    Layout("4.22", (256, 192, 96, 48), (32, 8), 13),
    Layout("4.22.lite", (192, 128, 64, 32), (16, 4), 13),
    Layout("4.25", (192, 128, 96, 64, 32), (16, 4), 13),
    # the same shapes and the same arithmetic as 4.25, trained further
    Layout("4.26", (192, 128, 96, 64, 32), (16, 4), 13),
)
"""The versions that can be converted."""


class Grid(NamedTuple):
    """Transform of pixels to positions of grid_sample, -1..1 between the centres of the outermost pixels."""

    base: tuple[Tensor, Tensor]
    """Position of each pixel itself, x and y: broadcast to [B,1,H,W]."""
    unit: tuple[Tensor, Tensor]
    """Size of a pixel along x and y: broadcast to [B,1,H,W]."""

    @staticmethod
    def of(picture: Tensor) -> Grid:
        """For pictures of the size of one, [B,C,H,W]."""

        def axis(index: int) -> tuple[Tensor, Tensor]:
            size = picture.shape[index]
            places = torch.arange(size, device=picture.device).to(torch.float32)
            unit = 2 / (places[-1:] - places[:1])
            shape = [1, 1, 1, 1]
            shape[index] = -1
            return (places * unit - 1).view(shape), unit.view(1, 1, 1, 1)

        (x, unit_x), (y, unit_y) = axis(3), axis(2)
        return Grid((x, y), (unit_x, unit_y))


def warp(picture: Tensor, flow: Tensor, grid: Grid) -> Tensor:
    """Samples [B,C,H,W] bilinearly, edges repeated, where `flow` [B,2,H,W] points to."""
    x = flow[:, :1] * grid.unit[0] + grid.base[0]
    y = flow[:, 1:] * grid.unit[1] + grid.base[1]
    positions = torch.cat([x, y], 1).permute(0, 2, 3, 1)
    return F.grid_sample(picture.float(), positions, mode="bilinear", padding_mode="border", align_corners=True)


def resize(x: Tensor, factor: float) -> Tensor:
    """Enlarges or shrinks [B,C,h,w] bilinearly; values stay as they are."""
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def activated(inputs: int, outputs: int) -> nn.Sequential:
    """Halves the size: [B,inputs,h,w] to [B,outputs,h/2,w/2]."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE))


class Residual(nn.Module):
    """activation(x + beta * convolution(x)), [B,channels,h,w] to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.beta = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(x) * self.beta + x, SLOPE)


class Block(nn.Module):
    """Improves the motion, looking at it `scale` times coarser than the input."""

    def __init__(self, inputs: int, width: int, layout: Layout) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(activated(inputs, width // 2), activated(width // 2, width))
        self.convblock = nn.Sequential(*(Residual(width) for _ in range(layout.depth)))
        self.lastconv = nn.Sequential(nn.ConvTranspose2d(width, 4 * layout.head, 4, 2, 1), nn.PixelShuffle(2))

    def forward(self, x: Tensor, flow: Tensor | None, scale: int) -> tuple[Tensor, Tensor, Tensor]:
        """x [B,C,H,W], flow [B,4,H,W] or None. Returns what is to be added to the flow [B,4,H,W], mask logits [B,1,H,W]
        and hints [B,*,H,W]."""
        dtype = self.lastconv[0].weight.dtype
        x = resize(x.to(dtype), 1 / scale)
        if flow is not None:
            x = torch.cat([x, (resize(flow, 1 / scale) * (1 / scale)).to(dtype)], 1)
        out = resize(self.lastconv(self.convblock(self.conv0(x))), scale)
        return out[:, :4].float() * scale, out[:, 4:5].float(), out[:, 5:]


class Encoder(nn.Module):
    """Network for the features that the blocks see of a picture beside its colours: [B,3,H,W] to [B,outputs,H,W]."""

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.cnn0 = nn.Conv2d(3, hidden, 3, stride=2, padding=1)
        self.cnn1 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.cnn2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.cnn3 = nn.ConvTranspose2d(hidden, outputs, 4, 2, 1)

    def forward(self, picture: Tensor) -> Tensor:
        x = picture.to(self.cnn0.weight.dtype)
        for convolution in (self.cnn0, self.cnn1, self.cnn2):
            x = F.leaky_relu(convolution(x), SLOPE)
        return self.cnn3(x)


class Rife(nn.Module):
    """Flow and mask for any phase between two pictures. The names of its parameters are the published weights'."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        encoded = 2 * layout.encoder[1] if layout.encoder else 0
        first = 7 + encoded
        later = first + 1 + 4 + layout.hints
        for index, width in enumerate(layout.widths):
            setattr(self, f"block{index}", Block(later if index else first, width, layout))
        if layout.encoder:
            self.encode = Encoder(*layout.encoder)

    def forward(self, img0: Tensor, img1: Tensor, phase: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        """img0, img1 [B,3,H,W] in 0..1, phase [B,1,H,W] in (0,1). Returns flow [B,4,H,W] and mask [B,1,H,W] in 0..1,
        the weight of picture 0."""
        seen = [img0, img1]
        if self.layout.encoder:
            seen = [torch.cat([picture, self.encode(picture).float()], 1) for picture in seen]
        flow = mask = hints = None
        for index, scale in enumerate(self.layout.scales):
            block = getattr(self, f"block{index}")
            if flow is None:
                flow, mask, hints = block(self.arranged(seen, phase), None, scale)
                continue
            warped = [warp(seen[0], flow[:, :2], grid), warp(seen[1], flow[:, 2:4], grid)]
            extra = [mask, hints.float()] if self.layout.hints else [mask]
            change, logit, hints = block(self.arranged(warped, phase, *extra), flow, scale)
            flow = flow + change
            mask = mask + logit if self.layout.adds_masks else logit
        return flow, torch.sigmoid(mask)

    @staticmethod
    def arranged(seen: list[Tensor], *rest: Tensor) -> Tensor:
        """The channels in the order the weights expect: colours of both, encodings of both, the rest."""
        colours = [x[:, :3] for x in seen]
        encodings = [x[:, 3:] for x in seen if x.shape[1] > 3]
        return torch.cat([*colours, *encodings, *rest], 1)

    def picture(self, img0: Tensor, img1: Tensor, phase: Tensor, grid: Grid) -> Tensor:
        """The picture at the phase, [B,3,H,W]."""
        flow, mask = self(img0, img1, phase, grid)
        return warp(img0, flow[:, :2], grid) * mask + warp(img1, flow[:, 2:4], grid) * (1 - mask)


def layout_of(state: dict[str, Tensor]) -> Layout:
    """The layout whose shapes the weights have; where versions share shapes, the first of them.

    Raises ValueError with what was found where none has."""
    found = measured(state)
    for layout in LAYOUTS:
        if replace(found, version=layout.version) == layout:
            return layout
    known = ", ".join(layout.version for layout in LAYOUTS)
    raise ValueError(
        f"blocks of {found.widths} channels, encoder {found.encoder}, {found.head} channels a block gives, "
        f"{found.depth} residual convolutions are those of none of the known versions ({known})"
    )


def measured(state: dict[str, Tensor]) -> Layout:
    """The layout that the shapes of weights tell of, without a version.

    Raises ValueError where they are no weights of RIFE 4.6 or later."""

    def shape(name: str) -> torch.Size:
        if name not in state:
            raise ValueError(f"`{name}` is missing: these are no weights of RIFE 4.6 or later")
        return state[name].shape

    widths = []
    while f"block{len(widths)}.conv0.1.0.weight" in state:
        widths.append(shape(f"block{len(widths)}.conv0.1.0.weight")[0])
    encoder = None
    if any(name.startswith("encode.") for name in state):
        encoder = shape("encode.cnn0.weight")[0], shape("encode.cnn3.weight")[1]
    head = shape("block0.lastconv.0.weight")[1] // 4
    depth = 0
    while f"block0.convblock.{depth}.beta" in state:
        depth += 1
    return Layout("", tuple(widths), encoder, head, depth)
