#!/bin/sh
# Makes a 60 fps file of a film's 24.
#
#   convert.sh INPUT OUTPUT.mp4 [FPS]
#
# 60 is two and a half times 24: of five frames one is the film's own and four are made, at two
# fifths, four fifths, one fifth and three fifths of the way between two of them.
# SOUND=no for a file without any. For a progress bar and sound that is not encoded again:
#   vfi-convert INPUT --fps 60 --output OUTPUT.mp4
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 2 ] || usage
[ -r "$1" ] || { echo "$1: no such file" >&2; exit 1; }

sound=
if [ "${SOUND:-yes}" != no ]; then
    # Unlimited, as the encoder of the pictures looks far ahead.
    sound='in. ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0
        ! audioconvert ! audioresample ! avenc_aac ! out.'
fi

# qos=false: there is time, and nothing is to be left out.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e filesrc location="$1" ! decodebin name=in \
    mp4mux name=out ! filesink location="$2" \
    in. ! queue ! videoconvert ! $VFI qos=false ! "video/x-raw,framerate=${3:-60}/1" \
    ! queue ! videoconvert ! video/x-raw,format=I420 \
    ! x264enc pass=qual quantizer=20 speed-preset=faster ! h264parse ! out. $sound
