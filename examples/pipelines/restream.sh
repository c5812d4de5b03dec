#!/bin/sh
# Takes a live stream, by RTMP or SRT or whatever else GStreamer reads, and sends it on by RTMP or SRT
# with twice its frames.
#
#   restream.sh [URL]
#   INPUT=rtmp://server/app/key restream.sh srt://receiver:7000
#   INPUT=srt://:7000?mode=listener SOUND=yes restream.sh rtmp://server/app/key
#
# Without INPUT a live test picture and tone are sent; without a URL, nowhere. INPUT is looked into
# before it is opened, to see whether it has sound: SOUND=yes or SOUND=no says so instead, which a
# sender that calls only once needs. FRAMES=300 ends the test after so many pictures.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -le 1 ] || usage
need deinterlace x264enc avenc_aac

sound=${SOUND:-}
if [ -n "${INPUT:-}" ]; then
    [ -n "$sound" ] || look_into "$INPUT"
    pictures="uridecodebin uri=$INPUT name=in in. ! queue"
    tone='in. ! queue'
else
    pictures="videotestsrc is-live=true pattern=ball num-buffers=${FRAMES:--1}
        ! video/x-raw,width=640,height=360,framerate=30/1"
    # 1024 samples a buffer at 48 kHz are 46.875 buffers a second, for 30 pictures.
    tone="audiotestsrc is-live=true volume=0.1 num-buffers=$((${FRAMES:--1} * 47 / 30)) ! audio/x-raw,rate=48000"
fi
case ${1:-} in
    '') need flvmux; target='flvmux name=out streamable=true ! queue ! fakesink sync=true qos=true' ;;
    rtmp://* | rtmps://*) need flvmux rtmp2sink; target="flvmux name=out streamable=true ! queue ! rtmp2sink location=$1 qos=true" ;;
    srt://*) need mpegtsmux srtsink; target="mpegtsmux name=out alignment=7 ! queue ! srtsink uri=$1 qos=true" ;;
    *) fail "$1: an address that begins with rtmp:// or srt:// is wanted" ;;
esac
encoded_sound=
[ "$sound" = no ] || encoded_sound="$tone ! audioconvert ! audioresample ! avenc_aac bitrate=128000 ! aacparse
    ! queue max-size-time=3000000000 ! out."

# A keyframe every two seconds is what streaming services ask for; zerolatency keeps x264 from
# holding frames back. Late frames are the element's affair (qos=false: a converter would leave out
# originals, too). Sound and pictures meet in the muxer by their timestamps, so what the element
# holds delays both alike.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e $target \
    $pictures ! deinterlace ! videoconvert qos=false ! video/x-raw,format=I420 \
    ! $VFI multiplier=2 ! queue max-size-buffers=4 \
    ! x264enc tune=zerolatency speed-preset=veryfast bitrate=4000 key-int-max=120 ! h264parse ! out. \
    $encoded_sound
