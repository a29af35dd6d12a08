#!/bin/sh
# Runs make-sysroot.sh on a made-up root file system, and on calls that must fail.
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

sh "$script" --rootfs "$work/rootfs" "$work/made"
[ "$(cat "$work/made/lib/aarch64-linux-gnu/libc.so.6")" = library ] || fail "the library did not come over"
[ ! -e "$work/made/etc" ] || fail "etc came over"
[ ! -e "$work/made/home" ] || fail "home came over"
case $(readlink "$work/made/$library/libabsolute.so") in
  /*) fail "an absolute link leads out of the sysroot" ;;
esac
[ "$(cat "$work/made/$library/libabsolute.so")" = library ] || fail "the link is broken"
(cd "$work/made" && sha256sum --check --quiet SHA256SUMS) || fail "a hash is wrong"

if sh "$script" --rootfs "$work/rootfs" "$work/made" 2>/dev/null; then fail "it wrote into a folder that was full"; fi
if sh "$script" --rootfs "$work/nowhere" "$work/other" 2>/dev/null; then fail "a missing root file system passed"; fi
mkdir -p "$work/empty/usr"
if sh "$script" --rootfs "$work/empty" "$work/third" 2>/dev/null; then fail "a root file system without libc passed"; fi
if sh "$script" --unknown x "$work/fourth" 2>/dev/null; then fail "an unknown mode passed"; fi
echo "make-sysroot.sh: passed"
