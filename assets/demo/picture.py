#!/usr/bin/env python3
"""Makes the README's picture from the project's own clip: before, blended, ours.

    python3 assets/demo/picture.py [--at FRAME] [--crop W:H:X:Y] [--out FILE.png] [--vfi 'vfiinterp …']

All three panels show the instant half-way between frames FRAME and FRAME + 1 of demo_30.mp4: on the
left what a player shows then, which is the older frame; in the middle both frames blended; on the
right the frame vfiinterp makes. `--truth` adds a fourth panel, the frame as it was drawn. Needs
ffmpeg with the DejaVu fonts, GStreamer and the plugin (GST_PLUGIN_PATH, or a release build here).
"""

import argparse
import os
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIZE = "640x360"


def interpolate(element, frames, target):
    """The clip's first `frames` frames at 60 per second, as bare I420."""
    env = dict(os.environ)
    env.setdefault("GST_PLUGIN_PATH", str(ROOT / "target" / "release"))
    chain = (
        f"filesrc location={HERE / 'demo_30.mp4'} ! decodebin ! videoconvert "
        f"! identity eos-after={frames + 1} ! {element} ! video/x-raw,framerate=60/1 "
        f"! videoconvert ! video/x-raw,format=I420 ! filesink location={target}"
    )
    subprocess.run(["gst-launch-1.0", "-q", *chain.split()], check=True, env=env)


def panel(source, label, crop, zoom):
    width, height = crop.split(":")[:2]
    return (
        f"{source}crop={crop},scale={int(width) * zoom}:{int(height) * zoom}:flags=lanczos,"
        f"pad=iw+8:ih+34:4:30:color=white,"
        f"drawtext=font='DejaVu Sans':text='{label}':x=(w-tw)/2:y=8:fontsize=16:fontcolor=0x202830"
    )


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--at", type=int, default=10)
    options.add_argument("--crop", default="190:178:250:56", help="the part that is shown")
    options.add_argument("--zoom", type=int, default=2)
    options.add_argument("--vfi", default="vfiinterp")
    options.add_argument("--truth", action="store_true")
    options.add_argument("--out", type=pathlib.Path, default=ROOT / "docs" / "before_blended_ours.png")
    chosen = options.parse_args()
    middle = 2 * chosen.at + 1
    chosen.out.parent.mkdir(parents=True, exist_ok=True)

    with tempfile.TemporaryDirectory() as scratch:
        raw = pathlib.Path(scratch, "ours.i420")
        interpolate(chosen.vfi, chosen.at + 2, raw)
        one = f"trim=start_frame={chosen.at}:end_frame={chosen.at + 1},setpts=0"
        two = f"trim=start_frame={chosen.at + 1}:end_frame={chosen.at + 2},setpts=0"
        true = f"trim=start_frame={middle}:end_frame={middle + 1},setpts=0"
        panels = [
            panel("[a0]", "before", chosen.crop, chosen.zoom),
            panel("[a1][b]blend=all_mode=average,", "blended", chosen.crop, chosen.zoom),
            panel(f"[1:v]{true},", "vfiinterp", chosen.crop, chosen.zoom),
        ]
        if chosen.truth:
            panels.append(panel(f"[2:v]{true},", "truth", chosen.crop, chosen.zoom))
        graph = [f"[0:v]split[x][y];[x]{one},split[a0][a1];[y]{two}[b]"]
        graph += [f"{chain}[p{i}]" for i, chain in enumerate(panels)]
        joined = "".join(f"[p{i}]" for i in range(len(panels)))
        graph.append(f"{joined}hstack={len(panels)},split[s0][s1];[s0]palettegen=reserve_transparent=0[p];"
                     "[s1][p]paletteuse=dither=sierra2_4a")
        subprocess.run([
            "ffmpeg", "-v", "error", "-y", "-i", HERE / "demo_30.mp4",
            "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", SIZE, "-r", "60", "-i", raw,
            "-i", HERE / "truth_60.mp4", "-filter_complex", ";".join(graph), "-frames:v", "1",
            "-map_metadata", "-1", "-bitexact", chosen.out,
        ], check=True)
    print(f"{chosen.out}: {chosen.out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
