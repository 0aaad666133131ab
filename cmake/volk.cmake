# VOLK_INCLUDE_DIR: where volk.h of the Vulkan loader is. GNU Radio's library of vector kernels installs a volk/volk.h too,
# so a candidate counts only if it loads Vulkan.
foreach(suffix . volk Volk)
	unset(VOLK_CANDIDATE CACHE)
	find_path(VOLK_CANDIDATE NAMES ${suffix}/volk.h HINTS ${VOLK_INCLUDE_DIR} ${VOLK_INCLUDE_DIR}/.. NO_CACHE)
	if(NOT VOLK_CANDIDATE)
		continue()
	endif()
	file(STRINGS ${VOLK_CANDIDATE}/${suffix}/volk.h loads LIMIT_COUNT 1 REGEX "volkLoadDeviceTable")
	if(loads)
		get_filename_component(VOLK_INCLUDE_DIR ${VOLK_CANDIDATE}/${suffix} ABSOLUTE)
		set(VOLK_INCLUDE_DIR ${VOLK_INCLUDE_DIR} CACHE PATH "Folder of the Vulkan loader's volk.h")
		return()
	endif()
	set(other "; ${VOLK_CANDIDATE}/${suffix}/volk.h is another library's")
endforeach()
message(FATAL_ERROR "There is no volk.h that loads Vulkan (Debian: libvulkan-volk-dev)${other}. "
	"-DVOLK_INCLUDE_DIR=FOLDER names its folder.")
