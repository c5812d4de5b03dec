"""The networks `vfi-lite` and `vfi-base`: coarse-to-fine motion between two pictures.

Notation used in every shape below: B batch, H x W the network's input size in pixels (multiples of `ALIGN`).
A *flow* holds four channels, (x, y) from the wanted moment to picture 0, then (x, y) to picture 1, in input pixels:
what is at `p` in the wanted frame is found at `p + flow` in the picture. Grids are area-aligned: the centre of cell i of
a grid s times coarser than the input lies at input position (i + 0.5) * s - 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ALIGN = 16
"""H and W must be multiples of this: the coarsest block works on a grid of 1/16."""

SEARCH_STRIDE = 8
"""Input pixels per cell of the search."""

STEP = 2
"""Input pixels between the displacements that the search compares."""

REACH = 22
"""Steps that the search goes each way: 44 pixels between the pictures."""

COMPARED = 9
"""Side of the square of cells that is compared around each cell."""

CONTRAST = 13
"""Side of the squares whose mean and spread make contrast, in pixels of the pictures compared."""

BRIGHTNESS = 6.0
"""How much of the luma (0..1) is added to the contrast, in units of it, for the search."""

LEVELS, MOST = 16, 32
"""Levels that a unit of contrast is divided into, and the largest difference that counts, in levels: 8 bits are enough."""

FINE = 128
"""Parts that a level is divided into in costs: 16 bits are enough."""

NOTHING = 8.0
"""Judgement of rest where nothing else is found."""

RELUCTANCE = 0.004
"""Difference, in units of contrast, that a step of displacement equals."""

KNOWN = 0.3
"""Share of the places around a cell that have to lie inside both pictures for a displacement to count."""

NEARLY_BLACK = 0.03
"""Added to mean lumas before they are compared: nearly black pictures say little about the light."""

LIKELIER, SURELY = 0.8, 0.02
"""A displacement found at a quarter of the size takes the place of one found at half of it where it lies beyond that one's
reach and its judgement is less than this share of the other's, and by this much."""

DAMPING = 3e-5
"""What is added to the mean square slope (colour values per pixel): that of a slope of 1.4 grey levels a pixel."""

SLOW = 2.0
"""Displacement in pixels up to which nothing is looked for that rests."""

SAME, TIMES, STILL = 0.04, 3.0, 0.02
"""What rests differs less than the first on average around it and by less than the third itself, and moved it differs more
than the second times as much, and the first. Colour values."""

UNKNOWN = 9.0
"""More than any difference."""

COVERED = 0.25
"""Share of a cell from which on it rests."""

MARGIN = 4.0
"""Pixels from the border within which comparisons suffer from it."""

ONE_SIDED = 8.0
"""What the mask's logit is moved by where only one picture has what is wanted."""

FITS, CLEARLY = 0.7, 0.005
"""The search's motion is taken where its misfit is less than this share of the network's, and by this much, in colour values."""

ENOUGH = 0.1
"""Share of a cell's surroundings that has to be comparable."""

STRIDES = (16, 8, 4, 4)
"""Input pixels per cell of each block's grid."""

OUTPUT_STRIDE = 2
"""Input pixels per cell of the flow and mask that the network returns."""


def resize(x: Tensor, factor: float) -> Tensor:
    """Enlarges or (with factor < 1, by whole-number area means) shrinks [B,C,h,w]; values stay as they are."""
    if factor < 1:
        return F.avg_pool2d(x, round(1 / factor))
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def _centres(x: Tensor, axis: int) -> Tensor:
    """Positions of the pixel centres along `axis` of x in grid_sample's units, -1..1 from edge to edge: [size]."""
    size = x.shape[axis]
    return (torch.arange(size, device=x.device) * 2 + 1).to(x.dtype) / size - 1


def warp_pair(pair: Tensor, flow: Tensor, stride: int) -> Tensor:
    """Samples both pictures of `pair` [B,2n,h,w] bilinearly (edges repeat) where `flow` [B,4,h/stride,w/stride], in
    pixels of `pair`, points to. Returns [B,2n,h,w]."""
    batch, _, height, width = pair.shape
    pictures = pair.reshape(2 * batch, -1, height, width)
    offset = flow.reshape(-1, 2, flow.shape[2], flow.shape[3])
    offset = torch.cat([offset[:, :1] * (2 / width), offset[:, 1:] * (2 / height)], dim=1)
    offset = resize(offset, stride).permute(0, 2, 3, 1)
    x, y = _centres(pair, 3), _centres(pair, 2)
    base = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1)
    sampled = F.grid_sample(pictures, offset + base, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled.reshape(batch, -1, height, width)


def luma(pair: Tensor) -> Tensor:
    """The luma (BT.601) of both pictures of a pair [B,6,h,w]: [B,2,h,w]. Sums, not a convolution: that could run in half
    precision, and takes longer with so few channels."""
    red, green, blue = pair[:, 0::3], pair[:, 1::3], pair[:, 2::3]
    return red * 0.299 + green * 0.587 + blue * 0.114


def levelled(img0: Tensor, img1: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures [B,3,h,w] with values in 0..1, brought to the same mean luma, so that what is seen in them looks the same through
    a fade or a change of exposure."""
    means = luma(torch.cat([picture.mean(dim=(2, 3), keepdim=True) for picture in (img0, img1)], dim=1)) + NEARLY_BLACK
    ratio = (means[:, 1:] / means[:, :1]).sqrt()
    return img0 * ratio, img1 / ratio


def proposal(lumas: Tensor, cell: int) -> Tensor:
    """How far picture 1 of almost aligned pictures [B,2,h,w] lies beyond picture 0, as seen in every cell of `cell` pixels a
    side and a surrounding of some twelve: the step of Lucas and Kanade (1981), damped where there is little texture.
    [B,2,h/cell,w/cell] in pixels of the pictures, at most one and a half.

    Differences, not convolutions: those may run in half precision, which is too coarse for them."""
    middle = F.pad(lumas[:, :1] + lumas[:, 1:], (1, 1, 1, 1), mode="replicate")
    across = (middle[..., 1:-1, 2:] - middle[..., 1:-1, :-2]) * 0.25
    down = (middle[..., 2:, 1:-1] - middle[..., :-2, 1:-1]) * 0.25
    apart = lumas[:, 1:] - lumas[:, :1]
    moments = torch.cat([across * across, across * down, down * down, across * apart, down * apart], dim=1)
    moments = F.avg_pool2d(moments, cell)
    around = (12 // cell - 1) // 2 * 2 + 1
    moments = F.avg_pool2d(moments, around, 1, around // 2, count_include_pad=False)
    xx, xy, yy, xt, yt = moments.split(1, dim=1)
    xx, yy = xx + DAMPING, yy + DAMPING
    determinant = xx * yy - xy * xy
    return -(torch.cat([yy * xt - xy * yt, xx * yt - xy * xt], dim=1) / determinant).clamp(-1.5, 1.5)


def surrounding(x: Tensor, size: int) -> Tensor:
    """The mean of x [B,C,h,w] over squares of `size` (odd) around each place; what lies outside doesn't count."""
    x = F.avg_pool2d(x, (1, size), 1, (0, size // 2), count_include_pad=False)
    return F.avg_pool2d(x, (size, 1), 1, (size // 2, 0), count_include_pad=False)


def contrast(lumas: Tensor, size: int) -> Tensor:
    """The contrast of pictures [B,2,h,w] with squares of `size` around, so that faint texture counts as much as strong, and
    some of their brightness, which tells rows of like things apart."""
    mean = surrounding(lumas, size)
    spread = (surrounding(lumas * lumas, size) - mean * mean).clamp(min=0).sqrt()
    return (lumas - mean) / (spread + 0.01) + BRIGHTNESS * lumas


def unlikeness(lumas: Tensor, reach: int) -> Tensor:
    """How unlike two pictures [B,2,h,w] are in every pixel, at every whole displacement up to `reach` pixels across and down, half of
    it taken from either picture: [B,(2*reach+1)^2,h,w], rows of displacements one after another, in units of [`contrast`], at most 2."""
    height, width = lumas.shape[2:]
    looks = F.pad(contrast(lumas, 7), (reach,) * 4, mode="replicate")
    first, second = looks[:, :1], looks[:, 1:]
    steps = range(-reach, reach + 1)

    def shifted(pictures: Tensor, axis: int, size: int, shifts: list[int]) -> Tensor:
        return torch.cat([pictures.narrow(axis, reach + shift, size) for shift in shifts], dim=1)

    first = shifted(first, 3, width, [-(step // 2) for step in steps])
    second = shifted(second, 3, width, [step - step // 2 for step in steps])
    differences = [
        (first.narrow(2, reach - step // 2, height) - second.narrow(2, reach + step - step // 2, height)).abs()
        for step in steps
    ]
    return torch.cat(differences, dim=1).clamp(max=2)


def fingerprint(lumas: Tensor) -> Tensor:
    """The [`contrast`] of pictures [B,2,h,w] in squares of 2x2 pixels from every pixel on, in whole levels from -128 to 127."""
    soft = F.avg_pool2d(F.pad(lumas, (0, 1, 0, 1), mode="replicate"), 2, 1)
    return (contrast(soft, CONTRAST) * LEVELS).clamp(-128, 127).round()


def costs(lumas: Tensor) -> Tensor:
    """How unlike two pictures [B,2,4h,4w] are around every cell of 4x4 pixels, at every displacement of up to `REACH` whole
    pixels across and down, half of it taken from either picture: [B,n,n,h,w] with n = 2*REACH+1, down before across, in
    whole parts of a level. Every second pixel is compared. Only places inside both pictures count, and where these are
    too few the displacement counts as unlike."""
    height, width = lumas.shape[2:]
    prints = F.pad(fingerprint(lumas), (REACH,) * 4)
    inside = F.pad(torch.ones_like(lumas[:, :1]), (REACH,) * 4)
    steps = range(-REACH, REACH + 1)

    def across(pictures: Tensor, shifts: list[int]) -> Tensor:
        return torch.cat([pictures[:, :, :, REACH + shift : REACH + shift + width : 2] for shift in shifts], dim=1)

    def down(pictures: Tensor, shift: int) -> Tensor:
        return pictures[:, :, REACH + shift : REACH + shift + height : 2]

    back, forth = [-(step // 2) for step in steps], [step - step // 2 for step in steps]
    first, second = across(prints[:, :1], back), across(prints[:, 1:], forth)
    known = across(inside, back) * across(inside, forth)
    apart, count = [], []
    for step in steps:
        here = down(known, -(step // 2)) * down(known, step - step // 2)
        differences = (down(first, -(step // 2)) - down(second, step - step // 2)).abs().clamp(max=MOST)
        apart.append(F.avg_pool2d(differences * here, 2) * 4)
        count.append(F.avg_pool2d(here, 2) * 4)
    apart, count = neighbours(torch.cat(apart, dim=1), COMPARED), neighbours(torch.cat(count, dim=1), COMPARED)
    everywhere = 4 * neighbours(torch.ones_like(apart[:, :1]), COMPARED)
    cost = torch.where(count > KNOWN * everywhere, apart * (FINE / count.clamp(min=1)), apart.new_tensor(MOST * FINE)).floor()
    return cost.reshape(-1, len(steps), len(steps), height // 4, width // 4)


def neighbours(x: Tensor, size: int) -> Tensor:
    """The sum of whole numbers x [B,C,h,w] over squares of `size` (odd) around each place; what lies outside counts as zero."""
    x = F.avg_pool2d(x, (1, size), 1, (0, size // 2)) * size
    return (F.avg_pool2d(x, (size, 1), 1, (size // 2, 0)) * size).round()


def search(lumas: Tensor) -> Tensor:
    """How far picture 1 of pictures [B,2,4h,4w] lies beyond picture 0 around every cell of 4x4 pixels: [B,3,h,w], x and y in
    pixels, and the judgement of that displacement.

    Each local minimum of [`costs`] is judged by what it would cost between the whole displacements: the difference of two
    pictures grows evenly with the distance from where they agree, so half of the difference of the costs on either side is
    what is paid for not being there. Without that a true motion that falls between two displacements loses against a wrong one
    that falls on one: rows of text were matched with the next row. Of nearly equal ones the shortest is taken."""
    cost = costs(lumas)
    above, below = torch.cat([cost[:, :1], cost[:, :-1]], dim=1), torch.cat([cost[:, 1:], cost[:, -1:]], dim=1)
    left, right = torch.cat([cost[:, :, :1], cost[:, :, :-1]], dim=2), torch.cat([cost[:, :, 1:], cost[:, :, -1:]], dim=2)
    steps = torch.arange(-REACH, REACH + 1).to(cost).view(1, -1, 1, 1)
    across, down = steps[:, None], steps[:, :, None]
    least = torch.minimum(torch.minimum(above, below), torch.minimum(left, right))
    between = ((above - below).abs() + (left - right).abs()) / 2
    length = (across * across + down * down).sqrt() * RELUCTANCE
    judged = (cost - between).clamp(min=0) / (LEVELS * FINE) + length
    judged = torch.where(cost <= least, judged, torch.where(length > 0, 2 * NOTHING, NOTHING))
    judgement, best = judged.flatten(1, 2).min(1, keepdim=True)

    def place(step: Tensor, before: Tensor, behind: Tensor) -> Tensor:
        """Where the two lines through a minimum and its neighbours meet."""
        slope = (torch.maximum(before, behind) - cost).clamp(min=1)
        return (step + (before - behind) / (2 * slope)).flatten(1, 2).gather(1, best)

    return torch.cat([place(across, left, right), place(down, above, below), judgement], dim=1)


def search_wide(half: Tensor, quarter: Tensor) -> Tensor:
    """How far picture 1 lies beyond picture 0 around every cell of 4x4 pixels of pictures [B,2,4h,4w], in their pixels:
    [B,2,h,w]. What is too far away for a [`search`] in them is looked for in the same pictures at half of their size."""
    near = search(half)
    far = F.interpolate(search(quarter), scale_factor=2.0, mode="nearest")
    beyond = far[:, :2].abs().amax(1, keepdim=True) * 2 > REACH
    likelier = far[:, 2:] < LIKELIER * near[:, 2:] - SURELY
    return torch.where(beyond & likelier, far[:, :2] * 2, near[:, :2])


def comparison(lumas: Tensor, reach: int) -> Tensor:
    """How unlike two pictures [B,2,2h,2w] are around every cell of 2x2 pixels, at displacements as in [`unlikeness`]:
    [B,(2*reach+1)^2,h,w]."""
    return surrounding(F.avg_pool2d(unlikeness(lumas, reach), 2), 3)


def disagreement(lumas: Tensor) -> Tensor:
    """How much two pictures [B,2,2h,2w] differ on average around every cell of 2x2 pixels: [B,1,h,w], colour values."""
    apart = F.avg_pool2d((lumas[:, :1] - lumas[:, 1:]).abs(), 2)
    return F.avg_pool2d(apart, 3, 1, 1, count_include_pad=False)


def follow(motion: Tensor, step: Tensor) -> Tensor:
    """Motion [B,5,h,w] when what was seen in picture 1 lies a step [B,2,h,w] further from what was seen in picture 0."""
    return motion + torch.cat([-step, step, torch.zeros_like(step[:, :1])], dim=1)


def places(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Where `flow` [B,4,h,w], in pixels, leads from the centres of cells of 2x2 pixels: x and y in picture 0 and 1,
    [B,2,h,w] each."""
    x, y = (torch.arange(size, device=flow.device) * 2 + 0.5 for size in (flow.shape[3], flow.shape[2]))
    return flow[:, 0::2] + x.view(1, 1, 1, -1), flow[:, 1::2] + y.view(1, 1, -1, 1)


def inside(flow: Tensor) -> Tensor:
    """Whether what `flow` [B,4,h,w] leads to from cells of 2x2 pixels lies inside picture 0 and 1: [B,2,h,w], 1 or 0."""
    (x, y), width, height = places(flow), 2 * flow.shape[3], 2 * flow.shape[2]
    within = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return within.to(flow.dtype)


def continue_inwards(motion: Tensor, flow: Tensor) -> Tensor:
    """Motion [B,5,h,w] whose flow [B,4,h,w] leads beyond the border takes the velocity of the cell that lies as far inwards
    and `MARGIN` pixels more: beyond the border there is nothing to compare."""
    height, width = motion.shape[2:]

    def inwards(place: Tensor, size: int) -> Tensor:
        over = (place - place.clamp(-0.5, 2 * size - 0.5)).sum(1, keepdim=True)
        return (over + MARGIN * torch.sign(over)) / 2

    (x, y) = places(flow)
    columns = torch.arange(width, device=flow.device).view(1, 1, 1, -1) - inwards(x, width)
    rows = torch.arange(height, device=flow.device).view(1, 1, -1, 1) - inwards(y, height)
    return torch.cat([gather(motion[:, :4], columns.round(), rows.round()), motion[:, 4:]], dim=1)


def gather(x: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """The values of x [B,C,h,w] at whole columns and rows [B,1,h',w'], edges repeated: [B,C,h',w']."""
    height, width = x.shape[2:]
    index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    index = index.long().expand(-1, x.shape[1], -1, -1)
    return x.flatten(2).gather(2, index.flatten(2)).reshape(index.shape)


def at_rest(lumas: Tensor, apart: Tensor) -> Tensor:
    """How much of each cell of 2x2 pixels of pictures [B,2,2h,2w] rests though the surroundings, which the search says lie
    `apart` [B,2,h/4,w/4], move: letters over a pan. [B,1,h,w], 0 to 1.

    What rests is the same in both pictures, and where the surroundings have moved to there is something else."""
    first, second = lumas[:, :1], lumas[:, 1:]
    apart = apart.round()
    moves = F.interpolate(((apart * apart).sum(1, keepdim=True) > SLOW * SLOW).to(lumas.dtype), scale_factor=8.0, mode="nearest")
    by = F.interpolate(apart, scale_factor=8.0, mode="nearest")

    def moved(here: Tensor, there: Tensor, by: Tensor) -> Tensor:
        """How unlike the pictures are if what is here has gone `by` there; nothing can be said about what has left."""
        height, width = there.shape[2:]
        columns = torch.arange(width, device=by.device).view(1, 1, 1, -1) + by[:, :1]
        rows = torch.arange(height, device=by.device).view(1, 1, -1, 1) + by[:, 1:]
        known = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        return torch.where(known, surrounding((here - gather(there, columns, rows)).abs(), 3), there.new_tensor(UNKNOWN))

    apart = (first - second).abs()
    unmoved, moved = surrounding(apart, 3), torch.minimum(moved(first, second, by), moved(second, first, -by))
    rests = (unmoved < SAME) & (moved > TIMES * unmoved + SAME) & (moved < UNKNOWN)
    rests = F.max_pool2d(rests.to(lumas.dtype) * moves, 3, 1, 1) * (apart < STILL).to(lumas.dtype)
    return F.avg_pool2d(rests, 2)


def fit(lumas: Tensor, motion: Tensor, flow: Tensor, covered: Tensor, unknown: float) -> tuple[Tensor, Tensor]:
    """Motion [B,5,h,w] with what each picture has not got taken from the other one, and how badly it fits around each cell
    [B,1,h,w], colour values; `unknown` where neither picture can be compared. lumas [B,2,h,w], flow [B,4,h,w] of the
    motion, covered [B,1,h,w] as [`at_rest`] says."""
    columns = torch.arange(flow.shape[3], device=flow.device).view(1, 1, 1, -1)
    rows = torch.arange(flow.shape[2], device=flow.device).view(1, 1, -1, 1)

    def free(x: Tensor, y: Tensor) -> Tensor:
        return 1 - gather(covered, (columns + x / 2).round(), (rows + y / 2).round())

    seen = inside(flow) * torch.cat([free(flow[:, 0:1], flow[:, 1:2]), free(flow[:, 2:3], flow[:, 3:4])], dim=1)
    comparable = seen[:, :1] * seen[:, 1:] * (1 - covered)
    aligned = warp_pair(lumas, flow * (1 / 2), 1)
    apart = (aligned[:, :1] - aligned[:, 1:]).abs() * comparable
    share, apart = surrounding(comparable, 5), surrounding(apart, 5)
    misfit = torch.where(share > ENOUGH, apart / share.clamp(min=ENOUGH), share.new_tensor(unknown))
    return torch.cat([motion[:, :4], motion[:, 4:] + ONE_SIDED * (seen[:, :1] - seen[:, 1:])], dim=1), misfit


@dataclass(frozen=True)
class Size:
    """How much a network has to learn with."""

    channels: tuple[int, ...]
    """Of the blocks, from coarse to fine: as many as there are, of `STRIDES` from the first on."""
    stem: int
    """Channels at twice a block's resolution."""
    depth: int
    """Convolutions in a block's body."""
    reach: int
    """How far around the motion found so far a block compares the pictures, in half cells; 0: not at all."""


SIZES = {"lite": Size((96, 64, 48), 32, 4, 0), "base": Size((160, 128, 96, 64), 48, 6, 3)}


def flow_per_velocity(timestep: Tensor) -> Tensor:
    """What a velocity is multiplied by to become a flow: the share of the interval to picture 0, then to picture 1.
    timestep [B,1,1,1]; returns [B,4,1,1]."""
    rest = 1 - timestep
    return torch.cat([timestep, timestep, rest, rest], dim=1)


class Residual(nn.Module):
    """x + activation(convolution(x)), [B,channels,h,w] to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.leaky_relu(self.conv(x), 0.1)


HEADS = {"head": 5 * 4, "trust": 1, "polish": 2 * 4}
"""What is read off a block's body, in this order: the channels of each; not every block has all."""

STAGES_VERSION = 3
"""Of what the stages compute, as the element's own operators for them know it: to be raised with every change to it. An
element that knows another version runs the exported file's own definition."""


class Stage(nn.Module):
    """Arithmetic without anything learned, between convolutions. It is exported as a function of its own, whose
    definition any runtime can run, and which the element has faster operators for."""

    def name(self) -> str:
        return type(self).__name__


class Start(Stage):
    """What needs no learning: pictures [B,3,H,W] and timestep [B,1,1,1] to the motion [B,5,H/8,W/8] between them, by a
    search at half the size and a step of Lucas and Kanade at a quarter; the pair [B,6,H,W] round zero, at a half and at a
    quarter of its size; and what the search found [B,2,H/8,W/8], in pixels."""

    def forward(self, img0: Tensor, img1: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        pair = torch.cat([img0, img1], dim=1) - 0.5
        half, quarter = resize(pair, 1 / 2), resize(pair, 1 / 4)
        apart = search_wide(luma(half), luma(quarter)) * STEP
        motion = torch.cat([-apart, apart, torch.zeros_like(apart[:, :1])], dim=1)
        flow = motion[:, :4] * flow_per_velocity(timestep)
        step = proposal(warp_pair(luma(quarter), flow * (1 / 4), 2), 2) * 4
        return follow(motion, step), pair, half, quarter, apart


class Look(Stage):
    """What a block that works on a grid [h,w], `stride` input pixels a cell, is to see. pair [B,6,4h,4w]: both pictures.
    motion [B,5,h,w], or `cells` / 4 times as fine: what was found before. timestep [B,1,1,1]. Returns both pictures, warped
    by the motion, and [B,8,h,w]: the motion in cells, the timestep, and a step of Lucas and Kanade in pixels of `pair`."""

    def __init__(self, stride: int, cells: int) -> None:
        super().__init__()
        self.stride, self.cells = stride, cells

    def name(self) -> str:
        return f"Look{self.stride}" if self.cells * self.stride >= 16 else f"Look{self.stride}x{self.cells}"

    def forward(self, pair: Tensor, motion: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        flow = motion[:, :4] * flow_per_velocity(timestep)
        pair = warp_pair(pair, flow * (4 / self.stride), self.cells)
        seen = resize(motion, self.cells / 4)
        plane = torch.zeros_like(seen[:, :1]) + timestep
        return pair, torch.cat([seen[:, :4] * (1 / self.stride), seen[:, 4:], plane, proposal(luma(pair), 4)], dim=1)


class Improve(Stage):
    """Applies what a block has found. motion as it was given to [`Look`], prior [B,8,h,w] as that made it, found
    [B,21 or more,h,w]: changes of the motion in cells, for each quarter of a cell, and the trust in the step. Returns the
    motion [B,5,2h,2w]."""

    def __init__(self, stride: int, cells: int) -> None:
        super().__init__()
        self.stride, self.cells = stride, cells

    def name(self) -> str:
        return f"Improve{self.stride}" if self.cells * self.stride >= 16 else f"Improve{self.stride}x{self.cells}"

    def forward(self, motion: Tensor, prior: Tensor, found: Tensor) -> Tensor:
        change = F.pixel_shuffle(found[:, :20], 2)
        unit = torch.tensor([self.stride] * 4 + [1], dtype=change.dtype, device=change.device)
        change = change * unit.view(1, 5, 1, 1)
        step = prior[:, 6:] * (torch.sigmoid(found[:, 20:21]) * (self.stride / 4))
        return resize(motion, self.cells / 2) + follow(change, resize(step, 2))


class Finish(Stage):
    """The last touch: one more step, the border, rest, and the search's own word. pair [B,6,2h,2w] as it is, motion
    [B,5,h,w], found [B,29,h/2,w/2]: from channel 21 on the trust in the step and in rest, for each quarter of a cell; rest
    [3]: how much agreement moved and unmoved weighs, and a bias; apart [B,2,h/4,w/4] as the search found it.

    Where a picture hasn't got what is wanted, because it lies beyond the border or is covered there by what rests, the other
    one gives it. The search's motion takes the place of the network's where it fits much better."""

    def forward(
        self, pair: Tensor, motion: Tensor, found: Tensor, rest: Tensor, timestep: Tensor, apart: Tensor
    ) -> Tensor:
        scale = flow_per_velocity(timestep)
        lumas = luma(pair)
        aligned = warp_pair(lumas, motion[:, :4] * scale, 2)
        gates = F.pixel_shuffle(found[:, 21:], 2)
        motion = follow(motion, proposal(aligned, 2) * torch.sigmoid(gates[:, :1]))
        motion = continue_inwards(motion, motion[:, :4] * scale)
        moving, resting = disagreement(aligned), disagreement(lumas)
        share = torch.sigmoid(-(rest[0] * moving + rest[1] * resting + rest[2] + gates[:, 1:]))
        comparable = inside(motion[:, :4] * scale).amin(1, keepdim=True)
        motion = motion * torch.where(comparable > 0, share, torch.ones_like(share))
        covered = at_rest(lumas, apart)
        searched = F.interpolate(apart, scale_factor=4.0, mode="nearest")
        searched = torch.cat([-searched, searched, torch.zeros_like(searched[:, :1])], dim=1)
        small = resize(lumas, 1 / 2)
        motion, misfit = fit(small, motion, motion[:, :4] * scale, covered, unknown=0.0)
        searched, other = fit(small, searched, searched[:, :4] * scale, covered, unknown=1.0)
        motion = torch.where(other < FITS * misfit - CLEARLY, searched, motion)
        return torch.where(covered < COVERED, motion, torch.zeros_like(motion))


class Block(nn.Module):
    """Improves the motion, looking at it from a grid `stride` times coarser than the input.

    It may also follow the step of Lucas and Kanade between the pictures as warped so far, by a learned share. The last
    one takes such a step once more, and then brings to rest what agrees better unmoved than moved: HUDs and subtitles
    over a moving picture."""

    def __init__(self, given: int, stride: int, size: Size, channels: int, last: bool = False) -> None:
        """`given`: input pixels per cell of the motion it is given; like `stride`, or half of it."""
        super().__init__()
        stem, depth = size.stem, size.depth
        self.reach = size.reach
        self.stride = stride
        self.look = Look(stride, 4 * given // stride)
        self.improve = Improve(stride, 4 * given // stride)
        self.finish = Finish() if last else None
        self.stem = nn.Conv2d(6, stem, 3, stride=2, padding=1)
        self.down = nn.Conv2d(stem, channels, 3, stride=2, padding=1)
        self.prior = nn.Conv2d(8, channels, 3, padding=1)
        self.around = nn.Conv2d((2 * size.reach + 1) ** 2, channels, 3, padding=1) if size.reach else None
        self.body = nn.Sequential(*(Residual(channels) for _ in range(depth)))
        self.head = nn.Conv2d(channels, HEADS["head"], 3, padding=1)
        self.trust = nn.Conv2d(channels, HEADS["trust"], 3, padding=1)
        self.polish = nn.Conv2d(channels, HEADS["polish"], 3, padding=1) if last else None
        for conv in (self.stem, self.down, self.prior):
            nn.init.kaiming_normal_(conv.weight, a=0.1)
        with torch.no_grad():
            self.stem.weight.mul_(4)  # pictures vary by about a quarter; what follows wants to see about one
        for gate in (self.trust, self.polish):
            if gate is not None:
                nn.init.zeros_(gate.weight)
                nn.init.constant_(gate.bias, -1.0)
        if self.around is not None:
            nn.init.zeros_(self.around.weight)
            nn.init.zeros_(self.around.bias)
        self.rest = nn.Parameter(torch.tensor([40.0, -80.0, -2.2])) if last else None
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, pair: Tensor, motion: Tensor, timestep: Tensor, apart: Tensor) -> Tensor:
        """pair [B,6,4h,4w]: both pictures, shrunk to four times this block's grid. motion [B,5,h,w], or twice as
        fine, as `given` says: what was found before: velocity to picture 0 and 1 in input pixels per frame interval, mask logit.
        timestep [B,1,1,1]. apart: what the search found. Returns the improved motion on a grid twice as fine as this block's,
        [B,5,2h,2w]."""
        warped, prior = self.look(pair, motion, timestep)
        x = F.leaky_relu(self.stem(warped), 0.1)
        x = self.down(x) + self.prior(prior)
        if self.around is not None:
            x = x + self.around(1 - comparison(resize(luma(warped), 1 / 2), self.reach))
        x = F.leaky_relu(x, 0.1)
        found = self._heads(self.body(x)).float()
        motion = self.improve(motion, prior, found)
        return motion if self.finish is None else self.finish(pair, motion, found, self.rest, timestep, apart)

    def _heads(self, x: Tensor) -> Tensor:
        """Everything that is read off the body, [B,channels,h,w] to [B,21 or 29,h,w], as one convolution: each by itself
        would be made up to a multiple of what a processor computes at once."""
        heads = [conv for conv in (getattr(self, name) for name in HEADS) if conv is not None]
        weight, bias = (torch.cat([getattr(conv, part) for conv in heads]) for part in ("weight", "bias"))
        return F.conv2d(x, weight, bias, padding=1)


class Vfi(nn.Module):
    """Flow and mask for any moment between two pictures.

    Each block predicts velocities, which are nearly the same for every moment of an interval, and a logit on top of the
    share each picture has by nearness alone; so a moment close to a picture needs nothing learned to look like it.
    """

    def __init__(self, size: str = "lite") -> None:
        super().__init__()
        self.size = size
        given, last = SEARCH_STRIDE, len(SIZES[size].channels) - 1
        self.blocks = nn.ModuleList()
        for index, (stride, channels) in enumerate(zip(STRIDES, SIZES[size].channels)):
            self.blocks.append(Block(given, stride, SIZES[size], channels, last=index == last))
            given = stride // 2
        self.start = Start()

    def grow_from(self, learned: dict[str, Tensor]) -> None:
        """Takes over what a network no larger than this one has learned, and does the same at first: what is added to a
        layer's inputs weighs nothing yet, nor do convolutions added to a body, nor blocks added; what is added to its outputs
        stays as it is made, so that there is something to weigh."""
        with torch.no_grad():
            for name, value in self.state_dict().items():
                if name in learned:
                    part = learned[name]
                    outputs = part.shape[:1]
                    value[tuple(slice(0, size) for size in outputs)] = 0
                    value[tuple(slice(0, size) for size in part.shape)] = part
                elif ".body." in name or ".head." in name:
                    value.zero_()

    def estimates(self, img0: Tensor, img1: Tensor, timestep: Tensor) -> list[tuple[Tensor, Tensor]]:
        """img0, img1 [B,3,H,W] in 0..1, timestep [B,1,1,1] in (0,1). Every block's flow [B,4,H/s,W/s] in input pixels
        and mask [B,1,H/s,W/s] in 0..1, the weight of picture 0; coarse to fine, s = 8, 4, 2."""
        nearness = torch.log((1 - timestep) / timestep)
        motion, *pairs, apart = self.start(*levelled(img0, img1), timestep)
        found = []
        for block in self.blocks:
            motion = block(pairs[block.stride // 8], motion, timestep, apart)
            flow = motion[:, :4] * flow_per_velocity(timestep)
            found.append((flow, torch.sigmoid(motion[:, 4:] + nearness)))
        return found

    def forward(self, img0: Tensor, img1: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """The exported signature: timestep [1]; the finest flow [B,4,H/2,W/2] and mask [B,1,H/2,W/2]."""
        return self.estimates(img0, img1, timestep.view(1, 1, 1, 1))[-1]
