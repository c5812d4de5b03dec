#!/bin/sh
# Before and after next to each other: left each frame shown twice, right with frames in between.
#
#   side-by-side.sh INPUT [OUTPUT.mp4]
#
# To the screen, or to a file if one is named, at 60 pictures a second. Interlaced video is deinterlaced.
# The sound is left out.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 1 ] || usage
need deinterlace compositor videorate
need_file "$1"

if [ $# -ge 2 ]; then
    need x264enc mp4mux
    target='x264enc pass=qual quantizer=20 speed-preset=faster ! h264parse ! mp4mux ! filesink name=file'
else
    need_screen
    target="$SINK"
fi

# Both halves are 640x360, whatever comes in. videorate repeats frames, which is what a screen does.
half='videoscale ! videoconvert ! video/x-raw,format=I420,width=640,height=360,pixel-aspect-ratio=1/1'
# shellcheck disable=SC2086
set -- filesrc location="$1" ! decodebin ! queue ! deinterlace ! $half ! tee name=t \
    compositor name=both sink_1::xpos=640 ! video/x-raw,framerate=60/1,width=1280,height=360 \
    ! queue ! videoconvert ! $target ${2:+location="$2"} \
    t. ! queue ! videorate ! video/x-raw,framerate=60/1 ! both.sink_0 \
    t. ! queue ! $VFI ! video/x-raw,framerate=60/1 ! queue ! both.sink_1
exec gst-launch-1.0 -e "$@"
