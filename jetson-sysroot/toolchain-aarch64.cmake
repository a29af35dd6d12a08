# CMake toolchain file for hosts of tteview on a Jetson (aarch64, Ubuntu 22.04 or 24.04).
#
#   cmake -DCMAKE_TOOLCHAIN_FILE=.../toolchain-aarch64.cmake [-DTTEVIEW_SYSROOT=DIR] ...
#
# TTEVIEW_SYSROOT is the path of a sysroot. Without it, the cross compiler's own libraries are used.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
if(TTEVIEW_SYSROOT)
  set(CMAKE_SYSROOT "${TTEVIEW_SYSROOT}")
  set(CMAKE_FIND_ROOT_PATH "${TTEVIEW_SYSROOT}")
endif()
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TTEVIEW_SYSROOT)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# The CMake package tteview is not in the sysroot, so CMake must also search for packages outside
# the sysroot.
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
# An Orin Nano has Cortex-A78AE cores, which implement Armv8.2 without SVE.
set(CMAKE_C_FLAGS_INIT "-mcpu=cortex-a78ae")
set(CMAKE_CXX_FLAGS_INIT "-mcpu=cortex-a78ae")
