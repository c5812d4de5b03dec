"""Frames between frames by OpenCV's DIS optical flow: `python dis.py WIDTH HEIGHT STEP`, 8-bit luma in and out by pipe.

Flow is estimated both ways, brought to the wanted moment as if motion were linear (the formula of Super SloMo, without
its network), and both frames are warped there and blended. Each frame read is written too, in its place.
"""

import sys

import cv2
import numpy as np


def between(first, second, forward, backward, moment):
    """The frame at `moment` (0 to 1) between two."""
    to_first = moment * (moment * backward - (1 - moment) * forward)
    to_second = (1 - moment) * ((1 - moment) * forward - moment * backward)
    height, width = first.shape
    here = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    warped = [
        cv2.remap(frame.astype(np.float32), here + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for frame, flow in ((first, to_first), (second, to_second))
    ]
    return np.clip(np.rint(warped[0] * (1 - moment) + warped[1] * moment), 0, 255).astype(np.uint8)


def main():
    width, height, step = map(int, sys.argv[1:4])
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    first = None
    while len(data := sys.stdin.buffer.read(width * height)) == width * height:
        second = np.frombuffer(data, np.uint8).reshape(height, width)
        if first is not None:
            forward, backward = flow.calc(first, second, None), flow.calc(second, first, None)
            for part in range(1, step):
                sys.stdout.buffer.write(between(first, second, forward, backward, part / step).tobytes())
        sys.stdout.buffer.write(data)
        first = second


if __name__ == "__main__":
    main()
