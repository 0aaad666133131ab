#!/bin/sh
# The .deb: what is in it and what it needs; installed into an empty root and purged, it leaves nothing behind.
# shellcheck source=tests/install/lib.sh
. "$(dirname "$0")/lib.sh"
command -v dpkg-shlibdeps >/dev/null || { echo 'skipped: there is no dpkg-dev'; exit 77; }
run "$CPACK" --config "$BUILD/CPackConfig.cmake" -B "$work"
set -- parvin_*.deb
deb=$1
[ -s "$deb" ] || fail 'cpack made no parvin_*.deb'

dpkg-deb --contents "$deb" >contents
for file in usr/bin/parvin 'usr/lib/.*libparvin\.so\.[0-9.]*' usr/include/parvin/parvin.h usr/share/man/man1/parvin.1.gz usr/share/doc/parvin/copyright usr/share/doc/parvin/changelog.gz \
	'usr/lib/.*pkgconfig/parvin.pc' usr/share/parvin/models/fables-5m-f16.gguf; do
	grep -qE "^-.* \./$file\$" contents || fail "$file is not in the package"
done
awk '$2 != "root/root" { exit 1 }' contents || fail 'files belong to someone other than root'
for needed in libc6 libjansson4 libpcre2-8-0 libcairo2 libvulkan1; do
	dpkg-deb -f "$deb" Depends | grep -q "\b$needed\b" || fail "it does not depend on $needed: $(dpkg-deb -f "$deb" Depends)"
done

mkdir -p root/var/lib/dpkg/info root/var/lib/dpkg/updates
touch root/var/lib/dpkg/status root/var/lib/dpkg/available
in_root() { run dpkg --root="$work/root" --log="$work/dpkg.log" --force-not-root --force-depends --force-script-chrootless "$@"; }
in_root --install "$deb"
[ -x root/usr/bin/parvin ] || fail 'it was not installed'
in_root --purge parvin
left=$(find root ! -type d ! -path 'root/var/lib/dpkg/*')
[ -z "$left" ] || fail "purging leaves $left"
