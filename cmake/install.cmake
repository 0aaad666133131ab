# What `cmake --install` gives: the shared library, with the symbols of the public headers alone; a static one; headers,
# parvin.pc and a CMake package; the command with its man pages and completions; the model that comes with Parvin. CPack
# makes a .deb of the same (`./bootstrap package`).
include(CMakePackageConfigHelpers)
set(library_dir ${CMAKE_BINARY_DIR}/lib) # apart from the libparvin.a of the build itself
set(public_includes $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# Until 1.0 a minor version may change the interface, so it is part of the soname.
add_library(parvin_shared SHARED $<TARGET_OBJECTS:parvin_objects> $<TARGET_OBJECTS:parvin_shaders>)
set_target_properties(parvin_shared PROPERTIES OUTPUT_NAME parvin EXPORT_NAME parvin VERSION ${PROJECT_VERSION}
	SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LIBRARY_OUTPUT_DIRECTORY ${library_dir})
target_include_directories(parvin_shared INTERFACE ${public_includes})
target_link_libraries(parvin_shared PRIVATE PkgConfig::PARVIN_DEPS Threads::Threads m ${CMAKE_DL_LIBS})
if(NOT PV_SANITIZE)
	target_link_options(parvin_shared PRIVATE LINKER:-z,defs)
endif()

# One object with its hidden symbols made local: volk's function pointers have the names of libvulkan's functions, and
# a program may link both.
set(merged ${CMAKE_BINARY_DIR}/parvin_merged.o)
add_custom_command(OUTPUT ${merged}
	COMMAND ${CMAKE_LINKER} -r -o ${merged} $<TARGET_OBJECTS:parvin_objects> $<TARGET_OBJECTS:parvin_shaders>
	COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${merged}
	DEPENDS $<TARGET_OBJECTS:parvin_objects> $<TARGET_OBJECTS:parvin_shaders> COMMAND_EXPAND_LISTS VERBATIM)
add_library(parvin_static STATIC ${merged})
set_target_properties(parvin_static PROPERTIES OUTPUT_NAME parvin LINKER_LANGUAGE C ARCHIVE_OUTPUT_DIRECTORY ${library_dir})
target_include_directories(parvin_static INTERFACE ${public_includes})
target_link_libraries(parvin_static PRIVATE PkgConfig::PARVIN_DEPS PUBLIC Threads::Threads m ${CMAKE_DL_LIBS})

install(TARGETS parvin_shared parvin_static EXPORT ParvinTargets
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY runtime/include/parvin DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

# parvin.pc finds its own prefix, so that an installed tree may be moved.
file(RELATIVE_PATH PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
string(REPLACE ";" " " PACKAGE_MODULES "${library_modules}")
string(REPLACE ";" " " PC_LIBRARIES "${PARVIN_DEPS_LDFLAGS};-pthread;-lm")
if(CMAKE_DL_LIBS)
	string(APPEND PC_LIBRARIES " -l${CMAKE_DL_LIBS}")
endif()
configure_file(cmake/package/parvin.pc.in parvin.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/parvin.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Parvin)
configure_package_config_file(cmake/package/ParvinConfig.cmake.in ${CMAKE_BINARY_DIR}/ParvinConfig.cmake
	INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/ParvinConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/ParvinConfig.cmake ${CMAKE_BINARY_DIR}/ParvinConfigVersion.cmake
	DESTINATION ${package_dir})
install(EXPORT ParvinTargets NAMESPACE Parvin:: DESTINATION ${package_dir})

install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/parvin/models
	FILES_MATCHING PATTERN "*.gguf" PATTERN "tales.txt" PATTERN "training" EXCLUDE)
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES cmake/package/copyright README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The changelog and the man pages are compressed, as distributions want them.
find_program(GZIP gzip REQUIRED)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/changelog.gz
	COMMAND ${GZIP} -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md >${CMAKE_BINARY_DIR}/changelog.gz
	DEPENDS ${PROJECT_SOURCE_DIR}/CHANGELOG.md)
add_custom_target(parvin_changelog ALL DEPENDS ${CMAKE_BINARY_DIR}/changelog.gz)
install(FILES ${CMAKE_BINARY_DIR}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET parvin_command)
	install(TARGETS parvin_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET parvin_docs) # man pages and completions, made by the command from its option table
	install(DIRECTORY ${CMAKE_BINARY_DIR}/share/ DESTINATION ${CMAKE_INSTALL_DATADIR})
	install(CODE "file(GLOB_RECURSE pages \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1/parvin*.1\")
		execute_process(COMMAND ${GZIP} -9nf \${pages} COMMAND_ERROR_IS_FATAL ANY)")
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME parvin)
set(CPACK_PACKAGE_CONTACT "Parvin contributors <parvin@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "GGUF language models on any Vulkan device, only the neurons a token needs")
set(CPACK_PACKAGE_DESCRIPTION "Parvin runs GGUF language models on any Vulkan device, software drivers
included, and skips the feed-forward neurons that a token does not need: it
learns clusters of neurons from a text, and a router that names a token's
cluster. The package holds the parvin command, which also shows the clusters
live and tests Vulkan devices against a reference, the library with its headers,
and a small model.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS libvulkan1) # loaded at run time
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS mesa-vulkan-drivers)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
