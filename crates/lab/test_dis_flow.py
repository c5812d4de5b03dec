"""Tests of dis_flow.py on a picture that pans: `pytest test_dis_flow.py`."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("dis_flow.py")
WIDTH, HEIGHT = 160, 96


def panned(by):
    """A texture moved to the left."""
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH + 32)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(noise, None, 2), None, 0, 255, cv2.NORM_MINMAX)
    return texture.round().astype(np.uint8)[:, by : by + WIDTH]


def rebuilt(frames, step, *how):
    """All frames as the script gives them back."""
    command = [sys.executable, SCRIPT, str(WIDTH), str(HEIGHT), str(step), *how]
    data = b"".join(frame.tobytes() for frame in frames)
    answer = subprocess.run(command, input=data, capture_output=True, check=True).stdout
    return np.frombuffer(answer, np.uint8).reshape(-1, HEIGHT, WIDTH)


def off(made, wanted):
    """The mean difference, away from borders, where a panning picture shows what was not seen before."""
    inside = np.s_[16:-16, 16:-16]
    return np.abs(made[inside].astype(int) - wanted[inside]).mean()


@pytest.mark.parametrize("step", [2, 4])
def test_even_motion_is_rebuilt(step):
    pans = [panned(2 * number) for number in range(2 * step + 1)]
    for given, how in ((pans[::step], ()), (pans, ("even",))):
        made = rebuilt(given, step, *how)
        assert len(made) == len(pans)
        for number, (frame, wanted) in enumerate(zip(made, pans)):
            assert np.array_equal(frame, wanted) if number % step == 0 else off(frame, wanted) < 3


def test_where_a_frame_lies_is_kept_from_even():
    made = rebuilt([panned(0), panned(2), panned(8)], 2, "even")
    assert off(made[1], panned(4)) < 3 < 10 < off(made[1], panned(2))


def test_chroma_moves_as_luma_does():
    half = np.s_[::2, ::2]
    pans = [panned(4 * number) for number in range(3)]
    given = b"".join(pan.tobytes() + pan[half].tobytes() * 2 for pan in pans[::2])
    chroma = f"{WIDTH // 2}x{HEIGHT // 2}"
    command = [sys.executable, SCRIPT, str(WIDTH), str(HEIGHT), "2", chroma]
    answer = subprocess.run(command, input=given, capture_output=True, check=True).stdout
    made = np.frombuffer(answer, np.uint8).reshape(3, HEIGHT * 3 // 2, WIDTH)[1]
    planes = made[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    assert off(made[:HEIGHT], pans[1]) < 3
    assert all(off(plane, pans[1][half]) < 3 for plane in planes)
