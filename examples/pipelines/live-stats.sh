#!/bin/sh
# Doubles a live source's frames, as well as the machine can, and prints what the element reports: every
# two seconds its rates, times and latency (vfiinterp-stats), and each change of effort
# (vfiinterp-overload).
#
#   live-stats.sh [WIDTHxHEIGHT [FPS]]      live-stats.sh 1920x1080 60
#
# Without arguments 1280x720 at 30. FRAMES=300 ends after so many pictures; VFI='vfiinterp overload=skip' tries
# another way to deal with overload.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"

size=${1:-1280x720}
case $size in *x*) ;; *) usage ;; esac
need videotestsrc
need_screen

# gst-launch prints every message with -m; only the element's own are of interest. The queue lets the next
# frame be made while the sink waits to show one.
# shellcheck disable=SC2086
gst-launch-1.0 -m -e videotestsrc is-live=true pattern=ball motion=sweep num-buffers="${FRAMES:--1}" \
    ! "video/x-raw,format=NV12,width=${size%x*},height=${size#*x},framerate=${2:-30}/1" \
    ! $VFI stats-interval=2000000000 \
    ! queue max-size-buffers=4 ! videoconvert ! $SINK |
    sed -n 's/.*(element): \(vfiinterp-.*\)/\1/p; s/^WARNING: /warning: /p'
