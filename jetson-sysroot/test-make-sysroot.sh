#!/bin/sh
# Runs make-sysroot.sh on an artificial root file system and with arguments that it must refuse.
set -eu

script=$(cd "$(dirname "$0")" && pwd)/make-sysroot.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "test-make-sysroot.sh: $1" >&2
  exit 1
}

library=usr/lib/aarch64-linux-gnu
mkdir -p "$work/rootfs/$library" "$work/rootfs/usr/include" "$work/rootfs/etc" "$work/rootfs/home"
ln -s usr/lib "$work/rootfs/lib"
echo header >"$work/rootfs/usr/include/stdio.h"
echo library >"$work/rootfs/$library/libc.so.6"
ln -s /lib/aarch64-linux-gnu/libc.so.6 "$work/rootfs/$library/libabsolute.so"
echo secret >"$work/rootfs/etc/shadow"
echo private >"$work/rootfs/home/file"

sh "$script" --rootfs "$work/rootfs" "$work/sysroot"
[ "$(cat "$work/sysroot/lib/aarch64-linux-gnu/libc.so.6")" = library ] || fail "the library was not copied"
[ ! -e "$work/sysroot/etc" ] || fail "etc was copied"
[ ! -e "$work/sysroot/home" ] || fail "home was copied"
case $(readlink "$work/sysroot/$library/libabsolute.so") in
  /*) fail "an absolute link points outside the sysroot" ;;
esac
[ "$(cat "$work/sysroot/$library/libabsolute.so")" = library ] || fail "the link is broken"
(cd "$work/sysroot" && sha256sum --check --quiet SHA256SUMS) || fail "a hash is wrong"

if sh "$script" --rootfs "$work/rootfs" "$work/sysroot" 2>/dev/null; then fail "a folder that was not empty was accepted"; fi
if sh "$script" --rootfs "$work/nowhere" "$work/other" 2>/dev/null; then fail "a missing root file system was accepted"; fi
mkdir -p "$work/empty/usr"
if sh "$script" --rootfs "$work/empty" "$work/third" 2>/dev/null; then fail "a root file system without libc was accepted"; fi
if sh "$script" --unknown x "$work/fourth" 2>/dev/null; then fail "an unknown mode was accepted"; fi
echo "make-sysroot.sh: passed"
