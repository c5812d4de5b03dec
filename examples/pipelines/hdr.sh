#!/bin/sh
# Makes a 60 fps file of a 10-bit HDR film: 10 bits all the way, with its colours' description.
#
#   hdr.sh INPUT OUTPUT.mp4 [FPS]
#
# For progressive video. Its sound is left out. HDR10's light levels stay where the decoder hands them on. With the sound:
#   vfi-convert INPUT --fps 60 --output OUTPUT.mp4
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 2 ] || usage
need deinterlace x265enc mp4mux
need_file "$1"
look_into "$(address "$1")"
case $seen in *I420_10LE*) ;; *) fail "$1: no 10-bit 4:2:0 video; convert.sh takes 8 bits" ;; esac
case $seen in *interleaved* | *mixed*) fail "$1: interlaced, and GStreamer's deinterlace takes 8 bits only, as convert.sh makes of it" ;; esac

# The element works in I420_10LE, as the decoder
# gives it and the encoder takes it, so that nothing converts on the way.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e filesrc location="$1" ! decodebin ! queue ! video/x-raw,format=I420_10LE \
    ! $VFI qos=false ! "video/x-raw,framerate=${3:-60}/1" \
    ! queue ! x265enc speed-preset=faster option-string=crf=20 ! h265parse ! mp4mux ! filesink location="$2"
