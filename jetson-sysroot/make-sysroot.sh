#!/bin/sh
# Creates a sysroot for cross-building hosts of tteview, from a board, a root file system or Debian.
#
#   make-sysroot.sh --board USER@HOST DIR   copies from a running board, with rsync over ssh
#   make-sysroot.sh --rootfs ROOTFS DIR     copies from NVIDIA's Linux_for_Tegra/rootfs
#   make-sysroot.sh --debian RELEASE DIR    unpacks the packages of Debian bullseye or bookworm
#
# DIR must be empty or must not exist. DIR/SHA256SUMS lists all files, so that sysroots can be
# compared. The first two modes also copy NVIDIA's libraries from the paths in rsync-list.txt.
set -eu

here=$(cd "$(dirname "$0")" && pwd)

fail() {
  echo "make-sysroot.sh: $1" >&2
  exit 1
}

usage() {
  sed -n '4,6s/^# *//p' "$0" >&2
  exit 2
}

need() {
  command -v "$1" >/dev/null 2>&1 || fail "$1 is needed: apt-get install $2"
}

# Copies the paths in rsync-list.txt from a board.
copy_board() {
  need rsync rsync
  rsync --archive --relative --no-implied-dirs --ignore-missing-args \
    --files-from="$here/rsync-list.txt" --recursive "$1:/" "$2/"
}

# Copies the paths in rsync-list.txt from a root file system.
copy_rootfs() {
  [ -d "$1/usr" ] || fail "$1/usr does not exist, so $1 is not a root file system"
  while read -r path; do
    case $path in '' | '#'*) continue ;; esac
    if [ -e "$1/$path" ] || [ -L "$1/$path" ]; then
      tar -C "$1" -cf - "$path" | tar -C "$2" -xf -
    fi
  done <"$here/rsync-list.txt"
}

# Makes absolute links relative, because absolute links would point outside the sysroot.
make_links_relative() {
  find "$1" -type l | while read -r link; do
    to=$(readlink "$link")
    case $to in
      /*) ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$1$to")" "$link" ;;
    esac
  done
}

# These packages are needed to build a program: glibc and libcrypt with their headers, the
# compiler's runtime libraries, and the kernel headers.
debian_packages='libc6 libc6-dev libgcc-s1 libstdc++6 linux-libc-dev libcrypt1 libcrypt-dev'

fetch_debian() {
  release=$1
  to=$2
  need curl curl
  need xz xz-utils
  need dpkg-deb dpkg
  mirror=${TTEVIEW_DEBIAN_MIRROR:-http://deb.debian.org/debian}
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  curl -fsS "$mirror/dists/$release/main/binary-arm64/Packages.xz" | xz -dc >"$work/Packages"
  for package in $debian_packages; do
    awk -v RS= -v ORS='\n\n' -v want="Package: $package" 'index($0 "\n", want "\n") == 1' "$work/Packages" >"$work/entry"
    file=$(sed -n 's/^Filename: //p' "$work/entry" | head -n 1)
    hash=$(sed -n 's/^SHA256: //p' "$work/entry" | head -n 1)
    [ -n "$file" ] || fail "$release has no $package for arm64"
    echo "$file"
    curl -fsS "$mirror/$file" -o "$work/package.deb"
    echo "$hash  $work/package.deb" | sha256sum --check --status || fail "$package: the hash does not match"
    dpkg-deb -x "$work/package.deb" "$to"
  done
}

check() {
  [ -e "$1/usr/include/stdio.h" ] || fail "usr/include/stdio.h was not copied; install libc6-dev on the source"
  find "$1" -name 'libc.so.6' | grep -q . || fail "libc.so.6 was not copied"
}

[ $# -eq 3 ] || usage
mode=$1 source=$2 sysroot=$3
mkdir -p "$sysroot"
[ -z "$(ls -A "$sysroot")" ] || fail "$sysroot is not empty"
case $mode in
  --board) copy_board "$source" "$sysroot" ;;
  --rootfs) copy_rootfs "$source" "$sysroot" ;;
  --debian) fetch_debian "$source" "$sysroot" ;;
  *) usage ;;
esac
make_links_relative "$sysroot"
check "$sysroot"
# SHA256SUMS is written last, so a sysroot without this file is incomplete.
sums=$(mktemp)
(cd "$sysroot" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) >"$sums"
mv "$sums" "$sysroot/SHA256SUMS"
echo "$sysroot: $(wc -l <"$sysroot/SHA256SUMS") files"
