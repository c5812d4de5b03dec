# shellcheck shell=sh
# Read by the scripts beside it: finds the plugin, says where pictures go, and looks whether all is there.
#
#   GST_PLUGIN_PATH  the plugin's folder; this checkout's release build unless set
#   SINK             where pictures go; SINK=fakesink for a machine without a screen
#   VFI              the element with its settings; VFI='vfiinterp model=rife-4.25' for another network

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
export GST_PLUGIN_PATH="${GST_PLUGIN_PATH:-$here/../../target/release}"
SINK=${SINK:-autovideosink}
VFI=${VFI:-vfiinterp}
# What fakesink leaves out and a screen's sink does: keep time, and say which frames are late.
[ "$SINK" != fakesink ] || SINK='fakesink sync=true qos=true'

# Prints the comment at the top of the script and ends.
usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# Prints a message and ends.
fail() {
    echo "$*" >&2
    exit 1
}

# Ends unless there is the element itself and each one named.
need() {
    command -v gst-launch-1.0 >/dev/null || fail "gst-launch-1.0 is missing: install GStreamer's tools"
    for element in "${VFI%% *}" "$@"; do
        gst-inspect-1.0 "$element" >/dev/null 2>&1 || fail "GStreamer has no element $element: install the plugin it is in, or set GST_PLUGIN_PATH"
    done
}

# Ends unless pictures can be shown where SINK says.
need_screen() {
    case $SINK in fakesink*) return ;; esac
    [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || fail "no display: set DISPLAY, or SINK=fakesink to show nothing"
}

# Ends unless $1 is a file that can be read.
need_file() {
    [ -f "$1" ] || fail "$1: no such file"
    [ -r "$1" ] || fail "$1: may not be read"
}

# The absolute file:// address of $1.
address() {
    printf 'file://%s/%s' "$(CDPATH='' cd -- "$(dirname -- "$1")" && pwd)" "$(basename -- "$1")" | sed 's/%/%25/g; s/ /%20/g; s/#/%23/g; s/?/%3F/g'
}

# Decodes two pictures of the address $1 and sets `rate`, pictures per second once deinterlaced, as a
# fraction (0/1 where it varies), and `sound`, yes or no.
look_into() {
    seen=$(gst-launch-1.0 -v uridecodebin uri="$1" ! video/x-raw ! videoconvert ! deinterlace mode=auto-strict name=pictures \
        ! identity eos-after=2 ! fakesink 2>&1) || fail "$1: no video that GStreamer can decode"
    rate=$(printf '%s\n' "$seen" | sed -n 's/.*:pictures.GstPad:src: caps.*framerate=(fraction)\([0-9/]*\).*/\1/p' | tail -n 1)
    case $seen in *'= audio/'*) sound=yes ;; *) sound=no ;; esac
}
