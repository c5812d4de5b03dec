"""Frames between frames by OpenCV's DIS optical flow: `python dis_flow.py WIDTH HEIGHT STEP [even]`, 8-bit luma in and out by
pipe.

Flow is estimated both ways, brought to the wanted moment as if motion were linear (the formula of Super SloMo, without
its network), and both frames are warped there and blended. Each frame read is written too, in its place.

With `even`, every frame is read, also those to be rebuilt, and flow is estimated from the true frame to its neighbours.
Of that only what is even is used, how far they are apart: not where between them the frame truly is. No method that
takes motion for even can know more.
"""

import sys

import cv2
import numpy as np


def linear(forward, backward, moment):
    """Flows from `moment` (0 to 1) between two frames to both, of those between the two."""
    to_first = moment * (moment * backward - (1 - moment) * forward)
    to_second = (1 - moment) * ((1 - moment) * forward - moment * backward)
    return to_first, to_second


def even(to_first, to_second, moment):
    """Flows from a frame to both neighbours as they would be if it were at `moment`, and motion even."""
    apart = to_second - to_first
    return -moment * apart, (1 - moment) * apart


def between(first, second, to_first, to_second, moment):
    """The frame at `moment` between two."""
    height, width = first.shape
    here = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    warped = [
        cv2.remap(frame.astype(np.float32), here + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for frame, flow in ((first, to_first), (second, to_second))
    ]
    return np.clip(np.rint(warped[0] * (1 - moment) + warped[1] * moment), 0, 255).astype(np.uint8)


def main():
    width, height, step = map(int, sys.argv[1:4])
    known = sys.argv[4:] == ["even"]
    calc = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc
    first, true = None, []
    while len(data := sys.stdin.buffer.read(width * height)) == width * height:
        frame = np.frombuffer(data, np.uint8).reshape(height, width)
        if known and first is not None and len(true) < step - 1:
            true.append(frame)
            continue
        if first is not None:
            moments = [part / step for part in range(1, step)]
            if known:
                motion = [even(calc(at, first, None), calc(at, frame, None), moment) for at, moment in zip(true, moments)]
            else:
                forward, backward = calc(first, frame, None), calc(frame, first, None)
                motion = [linear(forward, backward, moment) for moment in moments]
            for moment, flows in zip(moments, motion):
                sys.stdout.buffer.write(between(first, frame, *flows, moment).tobytes())
        sys.stdout.buffer.write(data)
        first, true = frame, []


if __name__ == "__main__":
    main()
