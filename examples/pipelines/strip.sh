#!/bin/sh
# A strip of pictures: two neighbouring frames of a video and the three made between them.
#
#   strip.sh INPUT OUTPUT.png [FRAME]
#
# FRAME is the first of the two, counted from 0; 30 unless given.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 2 ] || usage
need deinterlace compositor pngenc pngdec imagefreeze
need_file "$1"

frames=$(mktemp -d)
trap 'rm -rf "$frames"' EXIT
first=$((${3:-30} * 4))

# Four for one, so frame N of the input is frame 4N of the output; identity ends the input behind
# frame N + 1 (a decoder with several threads may still hand on a few), and only the last are kept.
# shellcheck disable=SC2086
gst-launch-1.0 -q filesrc location="$1" ! decodebin ! deinterlace fields=top ! videoconvert \
    ! identity eos-after=$((first / 4 + 3)) ! $VFI multiplier=4 qos=false \
    ! videoconvert ! videoscale ! video/x-raw,width=320,height=180,pixel-aspect-ratio=1/1 \
    ! pngenc ! multifilesink location="$frames/%d.png" max-files=200
output=$2

set -- compositor name=all background=black
for i in 0 1 2 3 4; do
    set -- "$@" "sink_$i::xpos=$((i * 324))"
done
set -- "$@" ! videoconvert ! pngenc ! filesink location="$output"
for i in 0 1 2 3 4; do
    set -- "$@" filesrc location="$frames/$((first + i)).png" ! pngdec ! imagefreeze num-buffers=1 ! videoconvert ! all.sink_$i
done
gst-launch-1.0 -q "$@"
echo "$output"
