#!/bin/sh
# `cmake --install` gives a library that programs find through pkg-config and CMake, in C and C++, shared and static; it
# exports what its headers declare and nothing else. The examples and the README's example are built so, and run.
# shellcheck source=tests/install/lib.sh
. "$(dirname "$0")/lib.sh"
root=$work/root
run "$CMAKE" --install "$BUILD" --prefix "$root"
libdir=$(dirname "$(find "$root" -name libparvin.a)")
PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir
export PKG_CONFIG_PATH LD_LIBRARY_PATH
model=$root/share/parvin/models/fables-5m-f16.gguf
clusters=$root/share/parvin/models/fables-5m.clusters.gguf

# What is exported is what is declared.
sed 's|/\*.*\*/||' "$root"/include/parvin/*.h | grep -oE '\bpv_[a-z0-9_]+\(' | tr -d '(' | sort -u >declared
nm -D --defined-only "$libdir/libparvin.so" | awk '{ print $3 }' | sort >exported
cmp -s declared exported || fail "declared (<) and exported (>) differ: $(diff declared exported)"
nm -g --defined-only "$libdir/libparvin.a" | awk 'NF == 3 { print $3 }' | sort >static
cmp -s declared static || fail "declared (<) and global in libparvin.a (>) differ: $(diff declared static)"
version=$(sed -n 's/.*PV_VERSION "\(.*\)"/\1/p' "$root/include/parvin/parvin.h")
readelf -d "$libdir/libparvin.so" | grep -q "SONAME.*\[libparvin.so.${version%.*}\]" || fail 'the soname'
[ "$(pkg-config --modversion parvin)" = "$version" ] || fail "parvin.pc is not of version $version"

# The command finds its model, and has its man page and completions.
"$root/bin/parvin" --version | grep -qx "parvin $version" || fail "the command is not of version $version"
for file in man/man1/parvin.1.gz bash-completion/completions/parvin zsh/site-functions/_parvin \
	fish/vendor_completions.d/parvin.fish doc/parvin/copyright; do
	[ -s "$root/share/$file" ] || fail "$file is missing"
done

# Through pkg-config. The README's example is examples/readme.c.
awk '/^```c$/ { on = 1; next } /^```/ { on = 0 } on' "$SOURCE/README.md" >example.c
cmp -s example.c "$SOURCE/examples/readme.c" || fail 'the C example in README.md is not examples/readme.c'
# shellcheck disable=SC2046 # several words
run "$CC" -o example example.c $(pkg-config --cflags --libs parvin)
./example "$model" 'Once upon a time' >text || fail 'the example of the README'
[ "$(wc -c <text)" -gt 60 ] || fail "the example of the README wrote only '$(cat text)'"
for name in generate clusters device; do
	# shellcheck disable=SC2046
	run "$CC" -std=c11 -pedantic -Wall -Wextra -Werror -o "$name" "$SOURCE/examples/$name.c" $(pkg-config --cflags --libs parvin)
done

# Through the CMake package, shared and static.
for library in parvin parvin_static; do
	run "$CMAKE" -S "$SOURCE/examples" -B "$library" -DCMAKE_C_COMPILER="$CC" -DCMAKE_PREFIX_PATH="$root" \
		-DPARVIN_LIBRARY="Parvin::$library"
	run "$CMAKE" --build "$library"
done

# All of them write the same, the dense text goes on as that of the README's example.
for folder in . parvin parvin_static; do
	$folder/generate "$model" 'Once upon a time' >dense || fail "$folder/generate"
	head -c "$(wc -c <text)" dense | cmp -s - text || fail "$folder/generate wrote '$(cat dense)' instead of '$(cat text)'"
	$folder/generate "$model" 'Once upon a time' "$clusters" >masked || fail "$folder/generate, with clusters"
	$folder/clusters "$model" "$clusters" 'the king and his son' >seen || fail "$folder/clusters"
	# A token a line: its text, four layers' clusters of 256, a density around 0.19.
	awk '{ for (i = NF - 4; i < NF; i++) if ($i !~ /^[0-9]+$/ || $i > 255) exit 1; if ($NF < 0.1 || $NF > 0.3) exit 1; n++ }
		END { if (n < 5) exit 1 }' seen || fail "$folder/clusters printed: $(cat seen)"
	$folder/device "" add/ >tested || fail "$folder/device: $(cat tested)"
	grep -Eq '^[1-9][0-9]* passed, 0 failed' tested || fail "$folder/device printed: $(cat tested)"
done

# The headers in C++, where there is a compiler.
if command -v c++ >/dev/null; then
	printf '#include <parvin/parvin.h>\nint main() { return *pv_status_name(PV_OK) == 0; }\n' >user.cpp
	# shellcheck disable=SC2046
	run c++ -std=c++11 -pedantic -Wall -Wextra -Werror -o user user.cpp $(pkg-config --cflags --libs parvin)
	run ./user
fi
