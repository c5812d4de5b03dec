#!/bin/sh
# Makes a sequence of PNG pictures smoother, PNG to PNG: 161 pictures of 832x1216, meant for 16 a
# second, become 322 for 32, the last of them twice.
#
#   pictures.sh in_%04d.png out_%04d.png [FPS [MULTIPLIER]]
#
# FPS is what the pictures are meant for, 16 unless given; MULTIPLIER is 2 unless given. The first
# picture has the number START, 1 unless set. LEVEL is PNG's compression, 0 (none) to 9 (slow), 4
# unless set. Memory holds a few pictures, however many there are.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 2 ] || usage
need multifilesrc pngdec pngenc multifilesink
start=${START:-1}
# shellcheck disable=SC2059
need_file "$(printf "$1" "$start")"

# qos=false: there is time, and nothing is to be left out. A queue of four lets the pictures be read,
# made and written at the same time.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e multifilesrc location="$1" start-index="$start" caps="image/png,framerate=${3:-16}/1" \
    ! pngdec ! queue max-size-buffers=4 ! videoconvert ! $VFI multiplier="${4:-2}" qos=false \
    ! queue max-size-buffers=4 ! videoconvert ! pngenc compression-level="${LEVEL:-4}" \
    ! multifilesink location="$2" index="$start"
