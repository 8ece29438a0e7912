#!/bin/sh
# Runs a command with $EC2SWEEP_WRAPPER set to what runs programs of another
# architecture: scripts/foreign.sh ARCH COMMAND [ARGUMENT...]
#
# Without qemu or that architecture's C library it says so, runs nothing and
# ends well.
set -eu

arch=$1
qemu=qemu-$arch
root=/usr/$arch-linux-gnu
shift

skip() {
    echo "foreign.sh: skipped, because $1" >&2
    exit 0
}

command -v "$qemu" >/dev/null ||
    skip "there is no $qemu: install qemu-user"
[ -e "$root/lib/libc.so.6" ] ||
    skip "$root has no C library: install libc6 for it (libc6-*-cross)"
EC2SWEEP_WRAPPER="$qemu -L $root" exec "$@"
