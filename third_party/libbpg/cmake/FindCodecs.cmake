# Finds x265 and libavcodec and makes codecs::x265 and codecs::avcodec of them.
#
# x265 is linked statically where its static library exists: OpenCV and pillow-heif bring their own
# x265 into the same process, and two shared copies with the same symbols would be mixed up.

set(_codecs_help "
  Debian, Ubuntu: apt-get install libx265-dev libnuma-dev libavcodec-dev libavutil-dev pkg-config
  Fedora:         dnf install x265-devel numactl-devel libavcodec-free-devel libavutil-free-devel pkgconf
                  (x265-devel is in RPM Fusion)
  macOS:          brew install x265 ffmpeg pkg-config")

find_package(PkgConfig)
if(NOT PkgConfig_FOUND)
  message(FATAL_ERROR "pkg-config is missing; it finds x265 and libavcodec.${_codecs_help}")
endif()

pkg_check_modules(X265 QUIET x265>=3.4)
pkg_check_modules(AVCODEC QUIET libavcodec>=59 libavutil>=57)
foreach(_codec X265 AVCODEC)
  if(NOT ${_codec}_FOUND)
    message(FATAL_ERROR "The development files of ${_codec} are missing or too old "
      "(x265 >= 3.4, libavcodec >= 59, libavutil >= 57).${_codecs_help}")
  endif()
endforeach()

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
message(STATUS "x265 ${X265_VERSION} (${BPG_X265_LINKAGE}), libavcodec ${AVCODEC_libavcodec_VERSION}")

add_library(codecs_avcodec INTERFACE)
add_library(codecs::avcodec ALIAS codecs_avcodec)
target_include_directories(codecs_avcodec INTERFACE ${AVCODEC_INCLUDE_DIRS})
target_link_directories(codecs_avcodec INTERFACE ${AVCODEC_LIBRARY_DIRS})
target_link_libraries(codecs_avcodec INTERFACE ${AVCODEC_LIBRARIES})
