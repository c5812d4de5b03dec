#!/bin/sh
# Takes a live stream at 30 frames per second and sends it on, by RTMP, at 60.
#
#   restream.sh [RTMP-URL]
#   INPUT=rtsp://camera/stream restream.sh rtmp://server/app/key
#
# Without INPUT a live test picture and tone are sent; without a URL, nowhere. FRAMES=300 ends the
# test after so many pictures.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

if [ -n "${INPUT:-}" ]; then
    pictures="uridecodebin uri=$INPUT name=in in. ! queue"
    tone='in. ! queue'
else
    pictures="videotestsrc is-live=true pattern=ball num-buffers=${FRAMES:--1}
        ! video/x-raw,width=640,height=360,framerate=30/1"
    # 1024 samples a buffer at 48 kHz are 46.875 buffers a second, for 30 pictures.
    tone="audiotestsrc is-live=true volume=0.1 num-buffers=$((${FRAMES:--1} * 47 / 30)) ! audio/x-raw,rate=48000"
fi
if [ -n "${1:-}" ]; then
    target="rtmp2sink location=$1"
else
    target='fakesink sync=true'
fi

# A keyframe every two seconds is what streaming services ask for; zerolatency keeps x264 from
# holding frames back. Sound and pictures meet in the muxer by their timestamps, so what the element
# holds delays both alike.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e flvmux name=out streamable=true ! queue ! $target \
    $pictures ! videoconvert ! $VFI multiplier=2 ! queue max-size-buffers=4 \
    ! videoconvert ! x264enc tune=zerolatency speed-preset=veryfast bitrate=4000 key-int-max=120 \
    ! h264parse ! out. \
    $tone ! audioconvert ! audioresample ! avenc_aac bitrate=128000 ! aacparse \
    ! queue max-size-time=3000000000 ! out.
