# Defines imported targets:
#   tteview::static   the static library
#   tteview::shared   the shared library
#   tteview::check    the checker for hosts, if it is installed
#   tteview::tteview  the same as tteview::static
# The components are "static", "shared" and "check". Without components, all are looked for.
include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)
get_filename_component(_tteview_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(_tteview_archive "${_tteview_prefix}/lib/libtteview.a")
set(_tteview_library "${_tteview_prefix}/lib/@FILE_NAME@")
foreach(_tteview_target IN ITEMS tteview static check)
  if(_tteview_target STREQUAL "check")
    set(_tteview_archive "${_tteview_prefix}/lib/check/libtteview.a")
  endif()
  if(NOT TARGET tteview::${_tteview_target} AND EXISTS "${_tteview_archive}")
    add_library(tteview::${_tteview_target} STATIC IMPORTED)
    set_target_properties(tteview::${_tteview_target} PROPERTIES
      IMPORTED_LOCATION "${_tteview_archive}"
      INTERFACE_INCLUDE_DIRECTORIES "${_tteview_prefix}/include"
      INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
  endif()
endforeach()
if(NOT TARGET tteview::shared AND EXISTS "${_tteview_library}")
  add_library(tteview::shared SHARED IMPORTED)
  set_target_properties(tteview::shared PROPERTIES
    IMPORTED_LOCATION "${_tteview_library}"
    IMPORTED_SONAME "@SONAME@"
    INTERFACE_INCLUDE_DIRECTORIES "${_tteview_prefix}/include")
endif()
foreach(_tteview_component IN LISTS tteview_FIND_COMPONENTS)
  set(tteview_${_tteview_component}_FOUND FALSE)
  if(_tteview_component MATCHES "^(static|shared|check)$" AND TARGET tteview::${_tteview_component})
    set(tteview_${_tteview_component}_FOUND TRUE)
  elseif(tteview_FIND_REQUIRED_${_tteview_component})
    set(tteview_FOUND FALSE)
    set(tteview_NOT_FOUND_MESSAGE
      "the component must be static, shared or check and must be installed, got ${_tteview_component}")
  endif()
endforeach()
unset(_tteview_prefix)
unset(_tteview_archive)
unset(_tteview_library)
