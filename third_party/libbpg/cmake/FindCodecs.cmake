# Finds x265 and libavcodec and makes codecs::x265 and codecs::avcodec of them.
#
# x265 is linked statically where its static library exists: OpenCV and pillow-heif bring their own
# x265 into the same process, and two shared copies with the same symbols would be mixed up.
#
# BPG_CODECS names a folder that packaging/build_codecs.py filled. What lies there, x265, FFmpeg or both, is
# linked statically, so that what is built needs nothing of the distribution's and survives its upgrades.

set(BPG_CODECS "" CACHE PATH "Folder of static libraries made by packaging/build_codecs.py")
set(_codecs_help "
  Debian, Ubuntu: apt-get install libx265-dev libnuma-dev libavcodec-dev libavutil-dev pkg-config
  Fedora:         dnf install x265-devel numactl-devel libavcodec-free-devel libavutil-free-devel pkgconf
                  (x265-devel is in RPM Fusion)
  macOS:          brew install x265 ffmpeg pkg-config")

find_package(PkgConfig)
if(NOT PkgConfig_FOUND)
  message(FATAL_ERROR "pkg-config is missing; it finds x265 and libavcodec.${_codecs_help}")
endif()
set(_codecs_own "")
if(BPG_CODECS)
  get_filename_component(_codecs_own "${BPG_CODECS}" ABSOLUTE)
  if(NOT EXISTS "${_codecs_own}/lib/pkgconfig")
    message(FATAL_ERROR "BPG_CODECS is ${BPG_CODECS}, where packaging/build_codecs.py has put no library.")
  endif()
  set(ENV{PKG_CONFIG_PATH} "${_codecs_own}/lib/pkgconfig:$ENV{PKG_CONFIG_PATH}")
endif()
# What an earlier run found elsewhere must not stay.
if(NOT _codecs_own STREQUAL "${BPG_CODECS_OF_CACHE}")
  unset(__pkg_config_checked_X265 CACHE)
  unset(__pkg_config_checked_AVCODEC CACHE)
  unset(X265_STATIC_LIBRARY CACHE)
endif()
set(BPG_CODECS_OF_CACHE "${_codecs_own}" CACHE INTERNAL "BPG_CODECS when the libraries were found")

# What src/x265_api.hpp and src/libavcodec_api.hpp are written for. docs/reliability.md says which of
# these releases were built and run, by tools/codec_versions.py.
option(BPG_ANY_CODEC_VERSION "Try releases of x265 and libavcodec that are newer than the tested ones" OFF)
set(_codecs_x265 3.4 4.2)
set(_codecs_libavcodec 59 63)

function(_codecs_check name version oldest newest)
  if(NOT version)
    message(FATAL_ERROR "The development files of ${name} are missing.${_codecs_help}")
  endif()
  string(REGEX MATCH "^[0-9]+(\\.[0-9]+)*" number "${version}")
  set(range "${name} ${oldest} to ${newest} is supported, ${version} was found.")
  if(number VERSION_LESS oldest)
    message(FATAL_ERROR "${range} It is too old.${_codecs_help}")
  endif()
  # The newest release counts with all of its own minor versions: 4.2.1 is a 4.2, 63.5 is a 63.
  if(number VERSION_GREATER newest AND NOT number MATCHES "^${newest}(\\.|$)"
     AND NOT BPG_ANY_CODEC_VERSION)
    message(FATAL_ERROR "${range} It is newer than what was tested; "
      "-DBPG_ANY_CODEC_VERSION=ON tries it all the same.")
  endif()
endfunction()

pkg_check_modules(X265 QUIET x265)
pkg_check_modules(AVCODEC QUIET libavcodec libavutil)
_codecs_check(x265 "${X265_VERSION}" ${_codecs_x265})
_codecs_check(libavcodec "${AVCODEC_libavcodec_VERSION}" ${_codecs_libavcodec})

add_library(codecs_x265 INTERFACE)
add_library(codecs::x265 ALIAS codecs_x265)
target_include_directories(codecs_x265 INTERFACE ${X265_INCLUDE_DIRS})
find_library(X265_STATIC_LIBRARY NAMES libx265.a HINTS ${X265_STATIC_LIBRARY_DIRS} ${X265_LIBRARY_DIRS})
if(X265_STATIC_LIBRARY)
  set(_x265_needs ${X265_STATIC_LIBRARIES})
  list(REMOVE_ITEM _x265_needs x265 stdc++ c++ m gcc gcc_s c)
  list(REMOVE_DUPLICATES _x265_needs)
  target_link_libraries(codecs_x265 INTERFACE ${X265_STATIC_LIBRARY} ${_x265_needs})
  set(BPG_X265_LINKAGE static CACHE INTERNAL "How x265 is linked")
else()
  target_link_directories(codecs_x265 INTERFACE ${X265_LIBRARY_DIRS})
  target_link_libraries(codecs_x265 INTERFACE ${X265_LIBRARIES})
  set(BPG_X265_LINKAGE shared CACHE INTERNAL "How x265 is linked")
endif()
find_package(Threads REQUIRED)
target_link_libraries(codecs_x265 INTERFACE Threads::Threads)

add_library(codecs_avcodec INTERFACE)
add_library(codecs::avcodec ALIAS codecs_avcodec)
target_include_directories(codecs_avcodec INTERFACE ${AVCODEC_INCLUDE_DIRS})
if(_codecs_own AND EXISTS "${_codecs_own}/lib/libavcodec.a")
  # Full names: nothing else of the same name can be found, and -Bsymbolic and the version script hide them.
  target_link_libraries(codecs_avcodec INTERFACE
    ${_codecs_own}/lib/libavcodec.a ${_codecs_own}/lib/libavutil.a Threads::Threads ${CMAKE_DL_LIBS} m)
  set(BPG_LIBAVCODEC_LINKAGE static CACHE INTERNAL "How libavcodec is linked")
else()
  target_link_directories(codecs_avcodec INTERFACE ${AVCODEC_LIBRARY_DIRS})
  target_link_libraries(codecs_avcodec INTERFACE ${AVCODEC_LIBRARIES})
  set(BPG_LIBAVCODEC_LINKAGE shared CACHE INTERNAL "How libavcodec is linked")
endif()
message(STATUS "x265 ${X265_VERSION} (${BPG_X265_LINKAGE}), "
  "libavcodec ${AVCODEC_libavcodec_VERSION} (${BPG_LIBAVCODEC_LINKAGE})")
