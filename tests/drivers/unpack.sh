#!/bin/sh
# unpack.sh FOLDER SUITE PACKAGE...: unpacks packages of a Debian suite, and what they need, into FOLDER/root. Nothing is
# installed, no root is needed, and the system's own apt is not touched: apt runs on lists and a status of its own.
set -eu
folder=$1 suite=$2
shift 2
[ -f /usr/share/keyrings/debian-archive-keyring.gpg ] ||
	{ echo "unpack.sh: this works on Debian, with debian-archive-keyring installed" >&2; exit 1; }
mirror=$(sed -n 's|^URIs:.* \(http[^ ]*/debian\)/*$|\1|p; s|^deb .*\(http[^ ]*/debian\)/* .*|\1|p; s|^URIs: *\(http[^ ]*/debian\)/*$|\1|p' \
	/etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
: "${mirror:=https://deb.debian.org/debian}"
mkdir -p "$folder/root" "$folder/apt/parts" "$folder/apt/lists/partial" "$folder/apt/archives/partial"
cd "$folder"
apt=$PWD/apt
: >apt/status
for name in "${suite%-backports}" "$suite"; do
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $name main"
done | sort -u >apt/sources
sed -n "s/^deb \(.* ${suite%-backports} main\)/deb-src \1/p" apt/sources >apt/sources.src
cat apt/sources.src >>apt/sources
cat >apt/conf <<TEXT
Dir::Etc::SourceList "$apt/sources";
Dir::Etc::SourceParts "$apt/parts";
Dir::Etc::Parts "$apt/parts";
Dir::Etc::Preferences "$apt/none";
Dir::Etc::PreferencesParts "$apt/parts";
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Cache::archives "$apt/archives";
APT::Architecture "$(dpkg --print-architecture)";
APT::Architectures { "$(dpkg --print-architecture)"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Debug::NoLocking "true";
TEXT
APT_CONFIG=$apt/conf
export APT_CONFIG
apt-get -qq update
apt-get -qq -y --download-only -t "$suite" install "$@"
for package in apt/archives/*.deb; do dpkg-deb -x "$package" root; done
rm -f apt/archives/*.deb
