"""The network FILM, after the published method, with the parameter names of its PyTorch port (dajes).

Notation: B batch, H x W the input's size in pixels (multiples of 64). Pyramids are lists, the finest level first, each
level half as large as the one before. A flow [B,2,h,w] is (x, y) in pixels of its own level.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 7
"""Of the pyramids in which motion is sought."""

FUSED = 5
"""Levels from which the picture is made."""

SLOPE = 0.2


class Convolution(nn.Sequential):
    """[B,inputs,h,w] to [B,outputs,h,w]; one of even size reaches to the right and down."""

    def __init__(self, inputs: int, outputs: int, size: int, activated: bool = True) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, size, padding=size // 2 if size % 2 else 0))
        self.reach = 0 if size % 2 else size - 1
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        if self.reach:
            x = F.pad(x, (0, self.reach, 0, self.reach))
        x = self[0](x)
        return F.leaky_relu(x, SLOPE) if self.activated else x


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Samples [B,C,h,w] bilinearly, edges repeated, where `flow` [B,2,h,w] points to; positions are in 32 bits."""

    def position(channel: int, axis: int) -> Tensor:
        size = x.shape[axis]
        places = torch.arange(size, device=x.device).to(torch.float32)
        shape = [1, 1, 1]
        shape[axis - 1] = -1
        return ((places * 2 + 1) / size - 1).view(shape) + flow[:, channel].float() * (2 / size)

    grid = torch.stack([position(0, 3), position(1, 2)], dim=3)
    sampled = F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled.to(x.dtype)


def twice_as_fine(flow: Tensor) -> Tensor:
    """A flow of one level for the next finer one."""
    return F.interpolate(2 * flow, scale_factor=2.0, mode="bilinear", align_corners=False)


class Subtree(nn.Module):
    """Features of one picture at up to as many levels as it has stages, the channels doubling from one to the next."""

    def __init__(self, filters: int, stages: int) -> None:
        super().__init__()
        inputs = [3, *(filters << stage for stage in range(stages - 1))]
        self.convs = nn.ModuleList(
            nn.Sequential(Convolution(inputs[i], filters << i, 3), Convolution(filters << i, filters << i, 3))
            for i in range(stages)
        )

    def forward(self, picture: Tensor, levels: int) -> list[Tensor]:
        found = [self.convs[0](picture)]
        for convs in self.convs[1:levels]:
            found.append(convs(F.avg_pool2d(found[-1], 2)))
        return found


class Extractor(nn.Module):
    """Features of the same meaning at every level: a level takes the subtrees of all levels that are finer than it."""

    def __init__(self, filters: int, stages: int) -> None:
        super().__init__()
        self.extract_sublevels = Subtree(filters, stages)
        self.stages = stages

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        subtrees = [
            self.extract_sublevels(picture, min(len(pyramid) - level, self.stages))
            for level, picture in enumerate(pyramid)
        ]
        return [
            torch.cat([subtrees[level - stage][stage] for stage in range(min(level + 1, self.stages))], 1)
            for level in range(len(pyramid))
        ]


class Predictor(nn.Module):
    """Correction to be added to the flow of a level, from the features of both pictures there."""

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        self._convs = nn.ModuleList(
            [
                Convolution(inputs, filters, 3),
                Convolution(filters, filters, 3),
                Convolution(filters, filters, 3),
                Convolution(filters, filters // 2, 1),
                Convolution(filters // 2, 2, 1, activated=False),
            ]
        )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        x = torch.cat([a, b], 1)
        for convolution in self._convs:
            x = convolution(x)
        return x


class FlowPyramid(nn.Module):
    """The flow from picture a to picture b at every level, found from coarse to fine. The finest levels have a
    predictor each, all others share one."""

    def __init__(self, filters: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        inputs, predictors = 2 * filters, []
        for level, width in enumerate(widths):
            predictors.append(Predictor(inputs, width))
            inputs += filters << (level + 2)
        self._predictor = predictors[-1]
        self._predictors = nn.ModuleList(reversed(predictors[:-1]))

    def forward(self, a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
        own = len(self._predictors)
        flow = self._predictor(a[-1], b[-1])
        flows = [flow]
        for level in reversed(range(len(a) - 1)):
            predictor = self._predictors[own - 1 - level] if level < own else self._predictor
            coarse = twice_as_fine(flow)
            flow = coarse + predictor(a[level], warp(b[level], coarse))
            flows.insert(0, flow)
        return flows


class Fusion(nn.Module):
    """Makes the picture of all that was warped to the phase, coarse to fine."""

    def __init__(self, filters: int, levels: int, specialised: int) -> None:
        super().__init__()
        self.output_conv = nn.Conv2d(filters, 3, 1)
        self.convs = nn.ModuleList()
        # what each level has of both pictures: features, colours, flow
        given = [2 * (sum(filters << stage for stage in range(level + 1)) + 5) for level in range(levels)]
        inputs = 2 * (sum(filters << stage for stage in range(levels)) + 5)
        for level in reversed(range(levels)):
            width = filters << min(level, specialised)
            convs = [
                Convolution(inputs, width, 2, activated=False),
                Convolution(given[level] + width, width, 3),
                Convolution(width, width, 3),
            ]
            self.convs.append(nn.ModuleList(convs))
            inputs = width

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        x = pyramid[-1]
        for convs, given in zip(self.convs, reversed(pyramid[:-1])):
            x = convs[0](F.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = convs[2](convs[1](torch.cat([given, x], 1)))
        return self.output_conv(x)


class Film(nn.Module):
    """The picture at any phase between two."""

    def __init__(self, filters: int = 64, flow_widths: tuple[int, ...] = (32, 64, 128, 256)) -> None:
        super().__init__()
        self.extract = Extractor(filters, 4)
        self.predict_flow = FlowPyramid(filters, flow_widths)
        self.fuse = Fusion(filters, FUSED - 1, 3)

    def forward(self, x0: Tensor, x1: Tensor, batch_dt: Tensor) -> Tensor:
        """x0, x1 [B,3,H,W] in 0..1, batch_dt [B,1] in (0,1); returns [B,3,H,W], in about 0..1."""
        dtype = self.fuse.output_conv.weight.dtype
        phase = batch_dt.to(dtype).view(-1, 1, 1, 1)
        pyramids = []
        for picture in (x0, x1):
            pyramid = [picture.to(dtype)]
            for _ in range(LEVELS - 1):
                pyramid.append(F.avg_pool2d(pyramid[-1], 2))
            pyramids.append(pyramid)
        features = [self.extract(pyramid) for pyramid in pyramids]
        forward = self.predict_flow(features[0], features[1])
        backward = self.predict_flow(features[1], features[0])
        levels = []
        for level in range(FUSED):
            to0, to1 = backward[level] * phase, forward[level] * (1 - phase)
            first, second = (torch.cat([pyramids[i][level], features[i][level]], 1) for i in (0, 1))
            levels.append(torch.cat([warp(first, to0), warp(second, to1), to0, to1], 1))
        return self.fuse(levels).float()


def film_of(state: dict[str, Tensor]) -> Film:
    """The network whose shapes the weights have. Raises ValueError where they are none of FILM's."""
    try:
        filters = state["fuse.output_conv.weight"].shape[1]
        first = "predict_flow._predictors.{}._convs.0.0.weight"
        own = 0
        while first.format(own) in state:
            own += 1
        fine = [state[first.format(own - 1 - level)].shape[0] for level in range(own)]
        coarse = state["predict_flow._predictor._convs.0.0.weight"].shape[0]
    except KeyError as missing:
        raise ValueError(f"{missing} is missing: these are no weights of FILM") from None
    return Film(filters, (*fine, coarse))
