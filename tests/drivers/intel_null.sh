#!/bin/sh
# intel_null.sh FOLDER: builds Intel's null kernel, which Debian does not package, from Debian's source of Mesa, with the
# compiler alone. FOLDER is one that unpack.sh has filled (libdrm-dev and python3-mako among it).
set -eu
cd "$1"
top=$PWD root=$PWD/root
libraries=$(dirname "$(find "$root/usr/lib" -name libdrm.so.2 | head -n 1)")
mkdir -p source && cd source
APT_CONFIG=$top/apt/conf apt-get -qq source --download-only --tar-only mesa >/dev/null 2>&1
tar=$(ls mesa_*.orig.tar.xz)
name=$(tar tf "$tar" 2>/dev/null | sed 's|/.*||;q')
set --
for part in include src/c11 src/compiler/shader_enums.c src/compiler/shader_enums.h src/drm-shim src/gallium/include \
	src/intel/common src/intel/dev src/intel/genxml src/intel/tools src/util; do
	set -- "$@" "$name/$part"
done
tar xf "$tar" --strip-components=1 "$@"
mkdir -p made
cp "$root"/usr/include/xf86drm*.h "$root"/usr/include/libdrm/drm*.h made/
: >made/git_sha1.h
PYTHONPATH=$root/usr/lib/python3/dist-packages
export PYTHONPATH
python3 src/intel/dev/intel_device_info_gen_h.py src/intel/dev/intel_device_info_gen.h
python3 src/intel/dev/intel_device_info_serialize_gen_c.py made/serialize.c
python3 src/intel/dev/gen_wa_helpers.py src/intel/dev/mesa_defs.json src/intel/dev/intel_wa.h made/intel_wa.c
# What Mesa's build would find out about this system.
have='PTHREAD LIBDRM TIMESPEC_GET STRUCT_TIMESPEC ENDIAN_H MEMFD_CREATE SECURE_GETENV PROGRAM_INVOCATION_NAME'
for word in FFS FFSLL CLZ CLZLL CTZ POPCOUNT POPCOUNTLL EXPECT UNREACHABLE TYPES_COMPATIBLE_P BSWAP32 BSWAP64; do
	have="$have __BUILTIN_$word"
done
for word in PACKED UNUSED FORMAT CONST PURE MALLOC NORETURN RETURNS_NONNULL WEAK ALIAS; do
	have="$have FUNC_ATTRIBUTE_$word"
done
set -- -DNDEBUG -D_GNU_SOURCE -DUSE_GCC_ATOMIC_BUILTINS -DMESA_DEBUG=0 -DDETECT_OS_LINUX_=1 -D_FILE_OFFSET_BITS=64 \
	'-DPACKAGE_VERSION="0"'
for word in $have; do set -- "$@" "-DHAVE_$word"; done
for folder in made include src src/intel src/intel/dev src/intel/common src/gallium/include; do set -- "$@" "-I$folder"; done
for name in hash_table ralloc set vma simple_mtx futex u_debug log os_misc os_time anon_file parson u_call_once u_printf \
	bitscan os_file u_process strtod memstream u_cpu_detect; do
	set -- "$@" "src/util/$name.c"
done
# Its functions that stand in for the C library's must be all that it exports.
"${CC:-cc}" -std=gnu11 -O1 -w -fPIC -shared -fvisibility=hidden -ffunction-sections -fdata-sections "$@" \
	src/drm-shim/device.c src/drm-shim/drm_shim.c src/intel/tools/intel_noop_drm_shim.c made/serialize.c made/intel_wa.c \
	src/intel/dev/intel_device_info.c src/intel/dev/intel_hwconfig.c src/intel/dev/intel_kmd.c \
	src/intel/dev/*/intel_device_info.c src/intel/common/intel_gem.c src/intel/common/intel_engine.c \
	src/intel/common/i915/*.c src/intel/common/xe/*.c src/c11/impl/threads_posix.c src/c11/impl/time.c \
	-Wl,--gc-sections -Wl,--no-undefined -Wl,--allow-shlib-undefined "$libraries/libdrm.so.2" -lpthread -lm \
	-o "$libraries/libintel_noop_drm_shim.so"
cd .. && rm -rf source
