#!/bin/sh
# Makes four frames of one on two NVIDIA GPUs: the first doubles the frames, the second doubles them again.
#
#   two-gpus.sh INPUT OUTPUT.mp4
#
# The second has twice the work, so the faster of the two belongs there: GPUS='1 0' swaps them. PROVIDER=cpu
# shows the same without a GPU. The sound is left out.
# Not run on two GPUs yet.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
[ $# -ge 2 ] || usage
need deinterlace x264enc mp4mux
need_file "$1"
gpus=${GPUS:-0 1}
provider=${PROVIDER:-cuda}
if [ "$provider" != cpu ]; then
    [ -e /dev/nvidia0 ] && [ -e /dev/nvidia1 ] || fail "two NVIDIA GPUs are wanted; PROVIDER=cpu does without"
fi

# The queue between them lets both work at the same time.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e filesrc location="$1" ! decodebin ! queue ! videoconvert ! deinterlace mode=auto-strict ! videoconvert \
    ! $VFI multiplier=2 qos=false execution-provider=$provider device="${gpus% *}" ! queue max-size-buffers=4 \
    ! $VFI multiplier=2 qos=false execution-provider=$provider device="${gpus#* }" ! queue ! videoconvert ! video/x-raw,format=I420 \
    ! x264enc pass=qual quantizer=20 speed-preset=faster ! h264parse ! mp4mux ! filesink location="$2"
