#!/bin/sh
# Makes a 60 fps file of a film's 24, with its sound if it has any.
#
#   convert.sh INPUT OUTPUT.mp4 [FPS]
#
# 60 is two and a half times 24: of five frames one is the film's own and four are made, at two
# fifths, four fifths, one fifth and three fifths of the way between two of them. Interlaced video is
# deinterlaced. For a progress bar and sound that is not encoded again:
#   vfi-convert INPUT --fps 60 --output OUTPUT.mp4
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 2 ] || usage
need deinterlace x264enc avenc_aac mp4mux
need_file "$1"
look_into "$(address "$1")"

encoded_sound=
if [ "$sound" = yes ]; then
    # Unlimited, as the encoder of the pictures looks far ahead.
    encoded_sound='in. ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0
        ! audioconvert ! audioresample ! avenc_aac ! out.'
fi

# qos=false: there is time, and nothing is to be left out.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e filesrc location="$1" ! decodebin name=in \
    mp4mux name=out ! filesink location="$2" \
    in. ! queue ! videoconvert ! deinterlace mode=auto-strict ! videoconvert ! $VFI qos=false ! "video/x-raw,framerate=${3:-60}/1" \
    ! queue ! videoconvert ! video/x-raw,format=I420 \
    ! x264enc pass=qual quantizer=20 speed-preset=faster ! h264parse ! out. $encoded_sound
