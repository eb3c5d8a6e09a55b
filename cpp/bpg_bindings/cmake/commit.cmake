# cmake -DSOURCE=<npp's source tree> -DOUTPUT=<header> -P commit.cmake
#
# Writes the header with the commit that the sources are at, "-dirty" behind it where tracked files were
# changed. Empty where the sources are not a repository of their own: an unpacked sdist may lie within
# somebody else's. An unchanged header keeps its time, so that nothing is built anew.
find_program(GIT git)

# Variables that git sets for its hooks would lead to another repository.
function(git output)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env --unset=GIT_DIR --unset=GIT_WORK_TREE --unset=GIT_INDEX_FILE
      ${GIT} --no-optional-locks -C ${SOURCE} ${ARGN}
    OUTPUT_VARIABLE text RESULT_VARIABLE failed ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(${output} "${text}" PARENT_SCOPE)
  set(failed "${failed}" PARENT_SCOPE)
endfunction()

function(find_commit output)
  set(${output} "" PARENT_SCOPE)
  if(NOT GIT)
    return()
  endif()
  git(top rev-parse --show-toplevel)
  get_filename_component(top "${top}" REALPATH)
  get_filename_component(source "${SOURCE}" REALPATH)
  if(failed OR NOT top STREQUAL source)
    return()
  endif()
  git(commit rev-parse --verify HEAD)
  if(failed)
    return()
  endif()
  git(changed status --porcelain --untracked-files=no)
  if(failed)
    return()
  endif()
  if(changed)
    string(APPEND commit "-dirty")
  endif()
  set(${output} "${commit}" PARENT_SCOPE)
endfunction()

find_commit(commit)
set(header "#pragma once\n#define NPP_COMMIT \"${commit}\"\n")
set(before "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} before)
endif()
if(NOT header STREQUAL before)
  file(WRITE ${OUTPUT} "${header}")
endif()
