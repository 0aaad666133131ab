#!/bin/sh
# fetch.sh FOLDER: Vulkan drivers of GPUs that are not here (Debian on x86-64 or arm64; about 130 MB, a minute). A null kernel
# answers the driver in the kernel's place: the driver enumerates, compiles, records and submits, and nothing is computed.
# Into FOLDER/null: Mesa of trixie-backports. fetch.sh FOLDER lavapipe: lavapipe of bookworm-backports, into FOLDER/lavapipe.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
what=${2:-null}
[ ! -f "$what/whole" ] || exit 0
rm -rf "$what"
case $what in
null)
	"$here/unpack.sh" null trixie-backports mesa-vulkan-drivers mesa-drm-shim python3-mako libdrm-dev
	"$here/intel_null.sh" null
	;;
lavapipe) "$here/unpack.sh" lavapipe bookworm-backports mesa-vulkan-drivers ;;
*) echo "fetch.sh: '$what' is neither null nor lavapipe" >&2; exit 2 ;;
esac
rm -rf "$what/apt" "$what"/root/usr/share/doc "$what"/root/usr/share/locale
: >"$what/whole"
