#!/bin/sh
# Shows a camera live, with twice its frames.
#
#   webcam.sh [DEVICE]          webcam.sh /dev/video0
#   webcam.sh test              without a camera: a test picture, as live as one
#
# A live source never waits. The element reports how long it holds a frame, so the sink shows each a
# little later and evenly; FRAMES=300 ends after so many pictures.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

case ${1:-/dev/video0} in
    test) source='videotestsrc is-live=true pattern=ball motion=sweep' ;;
    *) source="v4l2src device=${1:-/dev/video0}" ;;
esac
case $SINK in fakesink) SINK='fakesink sync=true' ;; esac

# 640x480 at 30 is what about every camera can do; the leaky queue drops old pictures, not new ones,
# should the screen be too slow. Unquoted on purpose: each holds several words.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e $source num-buffers="${FRAMES:--1}" \
    ! video/x-raw,width=640,height=480,framerate=30/1 \
    ! videoconvert ! $VFI multiplier=2 \
    ! queue max-size-buffers=4 leaky=downstream ! videoconvert ! $SINK
