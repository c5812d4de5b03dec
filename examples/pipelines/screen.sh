#!/bin/sh
# Records the screen, with twice the frames it is looked at with.
#
#   screen.sh OUTPUT.mp4 [FPS [SECONDS]]
#
# Takes FPS pictures a second, 30 unless given, for 10 seconds unless given. For X11: under Wayland a
# desktop hands out its screen through pipewiresrc.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 1 ] || usage
need ximagesrc x264enc mp4mux
[ -n "${DISPLAY:-}" ] || fail "no display to record: set DISPLAY"

# The queue before the element holds what comes while a frame is made. overload=none: where there is
# no time for all frames, they come later, and none is left out.
fps=${2:-30}
# shellcheck disable=SC2086
exec gst-launch-1.0 -e ximagesrc use-damage=false num-buffers=$((fps * ${3:-10})) \
    ! "video/x-raw,framerate=$fps/1" ! queue max-size-buffers=0 max-size-bytes=2000000000 max-size-time=0 \
    ! videoconvert ! $VFI multiplier=2 qos=false overload=none \
    ! queue ! videoconvert ! video/x-raw,format=I420 \
    ! x264enc pass=qual quantizer=20 speed-preset=veryfast ! h264parse ! mp4mux ! filesink location="$1"
