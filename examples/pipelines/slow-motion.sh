#!/bin/sh
# Slow motion: four times as many frames, played at the rate the file has.
#
#   slow-motion.sh INPUT OUTPUT.mp4 [FACTOR]
#
# FACTOR is 2 to 16, 4 unless given. FPS=25 for a file whose own rate varies. Interlaced video is
# deinterlaced, to a picture for each field. The sound is left out; to stretch it:
#   vfi-convert INPUT --slow 4 --output OUTPUT.mp4
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 2 ] || usage
need deinterlace videorate x264enc mp4mux
need_file "$1"
factor=${3:-4}
look_into "$(address "$1")"
[ -z "${FPS:-}" ] || rate=$FPS/1
[ "$rate" != 0/1 ] || fail "$1: its rate varies; set FPS to the rate to play it at"

# videorate's `rate` stretches the time but not the end of the segment, which identity therefore takes
# away; as the frames then come at the file's rate again, none is added or dropped.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e filesrc location="$1" ! decodebin ! queue ! videoconvert ! deinterlace mode=auto-strict ! videoconvert \
    ! $VFI multiplier="$factor" qos=false \
    ! identity single-segment=true ! videorate rate="$(awk "BEGIN { print 1 / $factor }")" ! "video/x-raw,framerate=$rate" \
    ! queue ! videoconvert ! video/x-raw,format=I420 \
    ! x264enc pass=qual quantizer=20 speed-preset=faster ! h264parse ! mp4mux ! filesink location="$2"
