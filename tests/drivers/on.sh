#!/bin/sh
# on.sh FOLDER NAME COMMAND...: runs a program of this system on a device of the file list, whose driver fetch.sh has
# brought into FOLDER: with that driver's own C library, and its null kernel where it has one. NAME 'lavapipe': the newer
# lavapipe of FOLDER.
set -eu
folder=$(cd "$1" && pwd) name=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
if [ "$name" = lavapipe ]; then
	root=$folder/lavapipe/root icd=lvp shim=- setting=PV_NOTHING=1
else
	root=$folder/null/root
	# shellcheck disable=SC2046
	set -- "$@" $(awk -v n="$name" '$1 == n { print $2, $3, $4 }' "$here/list")
	[ $# -ge 4 ] || { echo "on.sh: no device '$name' in $here/list" >&2; exit 2; }
	n=0
	for word in "$@"; do # the last three
		n=$((n + 1))
		case $(($# - n)) in
		2) icd=$word ;;
		1) shim=$word ;;
		0) setting=$word ;;
		esac
	done
	n=$(($# - 3))
	while [ $n -gt 0 ]; do set -- "$@" "$1"; shift; n=$((n - 1)); done
	shift 3
fi
driver=$(find "$root/usr/lib" -name "libvulkan_$icd.so" 2>/dev/null | head -n 1)
[ -n "$driver" ] || { echo "on.sh: $root has no driver '$icd'; './bootstrap drivers' brings it" >&2; exit 1; }
libraries=$(dirname "$driver") multiarch=$(basename "$(dirname "$driver")")
json=$folder/$name.json
printf '{"file_format_version":"1.0.0","ICD":{"library_path":"%s","api_version":"1.4.0"}}\n' "$driver" >"$json.$$"
mv "$json.$$" "$json"
export "${setting?}" VK_DRIVER_FILES="$json" VK_ICD_FILENAMES="$json"
search=$libraries:$root/lib/$multiarch:/usr/lib/$multiarch:/lib/$multiarch
loader=$(find "$root/usr/lib64" "$root/lib64" "$root/usr/lib" -name 'ld-linux-*.so.*' 2>/dev/null | head -n 1)
if [ -z "$loader" ]; then # the driver is content with this system's C library
	LD_LIBRARY_PATH=$libraries exec "$@"
fi
[ "$shim" = - ] || set -- --preload "$libraries/lib${shim}_noop_drm_shim.so" "$@"
exec "$loader" --library-path "$search" "$@"
