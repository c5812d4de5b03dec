#!/bin/sh
# Shows a camera live, with twice its frames.
#
#   webcam.sh [DEVICE]          webcam.sh /dev/video0
#   webcam.sh test              without a camera: a test picture, as live as one
#
# A live source never waits. The element reports how long it holds a frame, so the sink shows each a
# little later and evenly; FRAMES=300 ends after so many pictures. CAPS is what the camera is asked
# for, video/x-raw,width=640,height=480,framerate=30/1 unless set.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -le 1 ] || usage

camera=${1:-/dev/video0}
case $camera in
    test) source='videotestsrc is-live=true pattern=ball motion=sweep' ;;
    *)
        need v4l2src
        [ -e "$camera" ] || fail "$camera: no such camera; webcam.sh test does without"
        source="v4l2src device=$camera"
        ;;
esac
need deinterlace
need_screen

# About every camera can do 640x480 at 30; the leaky queue drops old pictures, not new ones, should
# the screen be too slow. Unquoted on purpose: each holds several words.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e $source num-buffers="${FRAMES:--1}" \
    ! "${CAPS:-video/x-raw,width=640,height=480,framerate=30/1}" \
    ! deinterlace ! videoconvert ! $VFI multiplier=2 \
    ! queue max-size-buffers=4 leaky=downstream ! videoconvert ! $SINK
