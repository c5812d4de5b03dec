#!/bin/sh
# Plays a file at 60 frames per second, with its sound.
#
#   play.sh FILE [FPS]
#
# Interlaced video is deinterlaced. When the machine is too slow the element leaves out synthesised
# frames, never the file's own.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 1 ] || usage
need playbin deinterlace
need_file "$1"
need_screen

speakers=autoaudiosink
case $SINK in fakesink*) speakers='fakesink sync=true' ;; esac

# playbin takes a filter for its pictures; the queue lets the sink wait while the next frame is made.
exec gst-launch-1.0 playbin uri="$(address "$1")" \
    video-filter="deinterlace ! videoconvert ! $VFI ! video/x-raw,framerate=${2:-60}/1 ! queue max-size-buffers=4" \
    video-sink="$SINK" audio-sink="$speakers"
