"""Losses that the network is trained to make small. Sizes: S the full-size pictures', N = S / shrink the network's."""

from __future__ import annotations

import torch
from torch import Tensor

from data import Batch
from model import resize, warp_pair

USUAL_LOSS, LEAST_LOSS = 0.05, 0.003
"""Losses of a picture at which the logarithmic scale has slope one, and at which it flattens out."""
COARSER_WEIGHT = 0.15
"""Weight of each coarser block's picture loss, beside 1 for the finest's."""
FLOW_WEIGHT_FIRST, FLOW_WEIGHT_LAST = 0.15, 0.01
"""Weight of one pixel, at network size, of error in a known flow: at the start, when it is what teaches the network to
see motion at all, and at the end, when the frames themselves say more."""


def blend(pair: Tensor, flow: Tensor, mask: Tensor, stride: int) -> Tensor:
    """The frame [B,3,h,w] made of pair [B,6,h,w], flow [B,4,h/stride,w/stride] in its pixels and mask [B,1,...]."""
    warped = warp_pair(pair, flow, stride)
    weight = resize(mask, stride)
    return warped[:, 3:] + (warped[:, :3] - warped[:, 3:]) * weight


def charbonnier(error: Tensor) -> Tensor:
    """Each picture's mean of an absolute value that is smooth around zero (colour values, 0.002 wide): [B]."""
    return (error.square() + 0.002**2).sqrt().mean(dim=(1, 2, 3))


def picture_loss(error: Tensor, levels: int = 3) -> Tensor:
    """Charbonnier loss [B] of a picture's error [B,3,h,w] itself and of the bands of its Laplacian pyramid, which make
    misplaced detail count beside wrong brightness."""
    loss = charbonnier(error)
    for _ in range(levels):
        smaller = resize(error, 1 / 2)
        loss = loss + 0.5 * charbonnier(error - resize(smaller, 2))
        error = smaller
    return loss


def squared(error: Tensor) -> Tensor:
    """The root of each picture's mean square error: [B]. Where two pictures agree no better here than there, their mean
    is best by this, as it is by PSNR; by absolute values either is as good."""
    return error.square().mean(dim=(1, 2, 3)).add(1e-8).sqrt()


def relative(losses: Tensor) -> Tensor:
    """The mean of losses [B] on a logarithmic scale, as PSNR is: halving a small error counts as much as halving a large
    one. Without it what moves fast and can't be matched drowns what moves little and could be exact."""
    return (USUAL_LOSS * torch.log(losses + LEAST_LOSS)).mean()


def total_loss(estimates: list[tuple[Tensor, Tensor]], batch: Batch, shrink: int, progress: float) -> tuple[Tensor, Tensor]:
    """The loss of all blocks' (flow in pixels at network size, mask) at a share `progress` (0..1) of the training, and
    the finest picture's mean square error.

    The finest motion is judged as it is used, by warping pictures `shrink` times larger than the network saw."""
    pair = torch.cat([batch.img0, batch.img1], dim=1)
    flow, mask = estimates[-1]
    error = blend(pair, flow * shrink, mask, pair.shape[-1] // flow.shape[-1]) - batch.wanted
    loss = relative(picture_loss(error)) + relative(squared(error))
    small, small_wanted = resize(pair, 1 / shrink), resize(batch.wanted, 1 / shrink)
    for flow, mask in estimates[:-1]:
        small_error = blend(small, flow, mask, small.shape[-1] // flow.shape[-1]) - small_wanted
        loss = loss + COARSER_WEIGHT * relative(charbonnier(small_error))
    if batch.known:
        flow_weight = FLOW_WEIGHT_LAST + (FLOW_WEIGHT_FIRST - FLOW_WEIGHT_LAST) * max(0.0, 1 - progress) ** 4
        for flow, _ in estimates:
            truth = resize(batch.flow / shrink, flow.shape[-1] / batch.flow.shape[-1])
            off = (flow[-batch.known :] - truth).abs().clamp(max=32)
            loss = loss + flow_weight * off.mean() * batch.known / flow.shape[0]
    return loss, error.detach().square().mean()
