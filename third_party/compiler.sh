#!/bin/bash
# Prints the command that compiles the release for an architecture:
# third_party/compiler.sh ARCH     (x86_64 or aarch64)
#
# The C library that it links with must ask for nothing newer than Lambda's
# glibc 2.34 has, which up to 2.36 is so. Where the compiler of the system has
# a newer one, or cannot make code for ARCH, zig can, with a glibc of its own
# choice: the user's, or that of setup.sh in EC2SWEEP_CACHE (see build.sh). $CC,
# if set, is taken as it is.
set -euo pipefail

arch=${1:?usage: compiler.sh ARCH}
newest_glibc=36
own_zig=${EC2SWEEP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ec2sweep}/zig/zig

# Whether the compiler runs and its glibc is old enough.
fits() { # COMMAND...
    local minor
    minor=$(echo '#include <features.h>' | "$@" -E -dM - 2>/dev/null |
        sed -n 's/^#define __GLIBC_MINOR__ //p') || return 1
    [ -n "$minor" ] && [ "$minor" -le "$newest_glibc" ]
}

zig() {
    if type -P zig >/dev/null; then
        echo zig
    elif python3 -c 'import ziglang' >/dev/null 2>&1; then
        echo "python3 -m ziglang"
    elif [ -x "$own_zig" ]; then
        echo "$own_zig"
    fi
}

native() {
    [ "$arch" = "$(uname -m)" ]
}

if [ -n "${CC:-}" ]; then
    echo "$CC"
elif native && fits cc; then
    echo cc
elif ! native && fits "$arch-linux-gnu-gcc"; then
    echo "$arch-linux-gnu-gcc"
elif [ -n "$(zig)" ]; then
    echo "$(zig) cc -target $arch-linux-gnu.2.34"
else
    echo "compiler.sh: no compiler for $arch with a glibc of 2.36 or older:" \
        "install one (Debian: gcc-${arch//_/-}-linux-gnu), or zig" \
        "(pip install ziglang)" >&2
    exit 1
fi
