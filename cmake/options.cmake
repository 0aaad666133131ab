# parvin_options: what every target of ours is compiled with. Link it PRIVATE.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")

add_library(parvin_options INTERFACE)
# -std=c11 hides POSIX (mmap, fsync, clock_gettime) unless it is asked for.
target_compile_definitions(parvin_options INTERFACE _DEFAULT_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(parvin_options INTERFACE -Wall -Wextra -Wshadow -Wvla -Wconversion -pedantic
	-Wstrict-prototypes -Wmissing-prototypes -fno-common)
if(PV_WERROR)
	target_compile_options(parvin_options INTERFACE -Werror)
endif()
if(PV_NATIVE)
	target_compile_options(parvin_options INTERFACE -march=native)
endif()
if(PV_COVERAGE)
	add_compile_options(--coverage -fprofile-update=atomic)
	add_link_options(--coverage)
endif()
if(PV_SANITIZE)
	# For everything, so that code and sanitizer run-time agree.
	add_compile_options(-fsanitize=${PV_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
	add_link_options(-fsanitize=${PV_SANITIZE})
endif()
