"""Frames between frames by OpenCV's DIS optical flow: `python dis_flow.py WIDTH HEIGHT STEP [even] [CHROMA]`, 8-bit frames
in and out by pipe: luma, and with CHROMA (its size, 320x180) two planes of it, which move as luma does.

Flow is estimated both ways, brought to the wanted phase as if motion were linear (the formula of Super SloMo, without
its network), and both frames are warped there and blended. Each frame read is written too, in its place.

With `even`, every frame is read, also those to be rebuilt, and flow is estimated from the true frame to its neighbours.
Of that only what is even is used, how far they are apart: not where between them the frame truly is. No method that
takes motion for even can know more.
"""

import sys

import cv2
import numpy as np


def linear(forward, backward, phase):
    """Flows from `phase` (0 to 1) between two frames to both, of those between the two."""
    to_first = phase * (phase * backward - (1 - phase) * forward)
    to_second = (1 - phase) * ((1 - phase) * forward - phase * backward)
    return to_first, to_second


def even(to_first, to_second, phase):
    """Flows from a frame to both neighbours as they would be if it were at `phase`, and motion even."""
    apart = to_second - to_first
    return -phase * apart, (1 - phase) * apart


def between(first, second, to_first, to_second, phase):
    """The frame at `phase` between two."""
    height, width = first.shape
    here = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    warped = [
        cv2.remap(frame.astype(np.float32), here + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for frame, flow in ((first, to_first), (second, to_second))
    ]
    return np.clip(np.rint(warped[0] * (1 - phase) + warped[1] * phase), 0, 255).astype(np.uint8)


def shrunk(flow, shape):
    """The flow of a plane of another size."""
    height, width = shape
    scale = np.float32([width / flow.shape[1], height / flow.shape[0]])
    return cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) * scale


def planes(data, shapes):
    """The planes of a frame."""
    ends = np.cumsum([height * width for height, width in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(np.frombuffer(data, np.uint8), ends[:-1]), shapes)]


def main():
    width, height, step = map(int, sys.argv[1:4])
    known = "even" in sys.argv[4:]
    shapes = [(height, width)]
    for size in sys.argv[4:]:
        if size != "even":
            across, down = map(int, size.split("x"))
            shapes += [(down, across)] * 2
    length = sum(down * across for down, across in shapes)
    calc = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc
    first, true = None, []
    while len(data := sys.stdin.buffer.read(length)) == length:
        whole = planes(data, shapes)
        frame = whole[0]
        if known and first is not None and len(true) < step - 1:
            true.append(frame)
            continue
        if first is not None:
            luma = first[0]
            phases = [part / step for part in range(1, step)]
            if known:
                motion = [even(calc(at, luma, None), calc(at, frame, None), phase) for at, phase in zip(true, phases)]
            else:
                forward, backward = calc(luma, frame, None), calc(frame, luma, None)
                motion = [linear(forward, backward, phase) for phase in phases]
            for phase, flows in zip(phases, motion):
                for before, after in zip(first, whole):
                    moved = [flow if before.shape == luma.shape else shrunk(flow, before.shape) for flow in flows]
                    sys.stdout.buffer.write(between(before, after, *moved, phase).tobytes())
        sys.stdout.buffer.write(data)
        first, true = whole, []


if __name__ == "__main__":
    main()
