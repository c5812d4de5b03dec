#!/bin/sh
# Doubles the frames of an H.264 film on an NVIDIA GPU: decoder, network and encoder, with no frame in the
# host's memory. Its sound is left out.
#
#   nvidia.sh INPUT.mp4 OUTPUT.mp4 [MULTIPLIER]
#
# Needs GStreamer's plugin nvcodec and an ONNX Runtime with CUDA.
# Not run on a GPU yet: see docs/gpu.md.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 2 ] || usage
need nvh264dec nvh264enc mp4mux
need_file "$1"

# The caps see to it that frames stay on the GPU; qos=false: there is time, and nothing is to be left out.
device='video/x-raw(memory:CUDAMemory)'
# shellcheck disable=SC2086
exec gst-launch-1.0 -e filesrc location="$1" ! qtdemux ! h264parse ! nvh264dec ! "$device" \
    ! $VFI multiplier="${3:-2}" qos=false ! "$device" \
    ! queue ! nvh264enc ! h264parse ! mp4mux ! filesink location="$2"
