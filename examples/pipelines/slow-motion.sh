#!/bin/sh
# Slow motion: four times as many frames, played at the old rate.
#
#   slow-motion.sh INPUT OUTPUT.mp4 [FACTOR] [FPS]
#
# FACTOR is 2 to 16, 4 unless given; FPS is the input's rate, 30 unless given. The sound is left out.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 2 ] || usage
[ -r "$1" ] || { echo "$1: no such file" >&2; exit 1; }
factor=${3:-4}
fps=${4:-30}

# videorate's `rate` stretches the time but not the end of the segment, which identity therefore takes
# away; as the frames then come at FPS again, none is added or dropped.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e filesrc location="$1" ! decodebin ! queue ! videoconvert \
    ! $VFI multiplier="$factor" qos=false \
    ! identity single-segment=true ! videorate rate="$(awk "BEGIN { print 1 / $factor }")" ! "video/x-raw,framerate=$fps/1" \
    ! queue ! videoconvert ! video/x-raw,format=I420 \
    ! x264enc pass=qual quantizer=20 speed-preset=faster ! h264parse ! mp4mux ! filesink location="$2"
