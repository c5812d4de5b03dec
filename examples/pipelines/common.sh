# shellcheck shell=sh
# Read by the scripts beside it: finds the plugin and says where pictures and sound go.
#
#   GST_PLUGIN_PATH  the plugin's folder; this checkout's release build unless set
#   SINK             where pictures go; SINK=fakesink for a machine without a screen
#   VFI              the element with its settings; VFI='vfiinterp model=rife-4.25' for another network

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
export GST_PLUGIN_PATH="${GST_PLUGIN_PATH:-$here/../../target/release}"
SINK=${SINK:-autovideosink}
VFI=${VFI:-vfiinterp}

# Prints the comment at the top of the script and ends.
usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# The absolute file:// address of $1.
address() {
    [ -r "$1" ] || { echo "$1: no such file" >&2; exit 1; }
    printf 'file://%s/%s' "$(CDPATH='' cd -- "$(dirname -- "$1")" && pwd)" "$(basename -- "$1")" | sed 's/%/%25/g; s/ /%20/g; s/#/%23/g; s/?/%3F/g'
}
