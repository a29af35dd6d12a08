# Defines the imported target tteview::tteview.
include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)
get_filename_component(_tteview_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET tteview::tteview)
  add_library(tteview::tteview STATIC IMPORTED)
  set_target_properties(tteview::tteview PROPERTIES
    IMPORTED_LOCATION "${_tteview_prefix}/lib/libtteview.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_tteview_prefix}/include"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
endif()
unset(_tteview_prefix)
