#!/bin/bash
# Refuses a binary that might not start in Lambda, or is not hardened:
# scripts/check-release.sh FILE
#
# Lambda's image has glibc 2.34 and no other library for certain. Each fault
# is one line on standard error; readelf(1) of binutils does the looking.
set -euo pipefail

max_glibc=2.34
file=${1:?usage: check-release.sh FILE}
faults=0

fault() {
    echo "check-release: $file: $*" >&2
    faults=$((faults + 1))
}

# Only what glibc itself consists of may be loaded at run time.
check_libraries() {
    local name
    while read -r name; do
        case $name in
        libc.so.6 | libm.so.6 | libpthread.so.0 | libdl.so.2) ;;
        ld-linux*.so.*) ;;
        *) fault "needs $name at run time: link its static library instead" ;;
        esac
    done < <(sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' <<<"$dynamic")
}

# Prints each version of glibc that is asked for: "GLIBC_2.34 symbol", or
# without a symbol where the binary as a whole asks for it (GLIBC_ABI_...).
glibc_versions() {
    sed -n 's/.* \([^ @]*\)@*\(GLIBC_[^ ]*\).*/\2 \1/p' <<<"$symbols"
    readelf -W --version-info "$file" |
        sed -n 's/.*Name: \(GLIBC_[A-Z_]*\) .*/\1/p'
}

machine() {
    case $(readelf -h "$file" | sed -n 's/ *Machine: *//p') in
    AArch64) echo aarch64 ;;
    *) echo x86_64 ;;
    esac
}

check_versions() {
    local version symbol newest
    while read -r version symbol; do
        newest=$(printf '%s\n' "${version#GLIBC_}" "$max_glibc" |
            sort -V | tail -n 1)
        [ "$newest" = "$max_glibc" ] ||
            fault "${symbol:-it} needs $version, Lambda has glibc" \
                "$max_glibc: build on a distribution with glibc 2.36 or" \
                "older, or with zig (pip install ziglang) and CC='zig cc" \
                "-target $(machine)-linux-gnu.$max_glibc'"
    done < <(glibc_versions | sort -u)
}

check_hardening() {
    local segments
    segments=$(readelf -W --program-headers "$file")
    grep -q 'FLAGS_1).*PIE' <<<"$dynamic" ||
        fault "is not position-independent: link with -pie"
    grep -q 'GNU_RELRO' <<<"$segments" ||
        fault "has no RELRO segment: link with -Wl,-z,relro"
    grep -qE 'BIND_NOW|FLAGS_1\).*NOW' <<<"$dynamic" ||
        fault "binds lazily: link with -Wl,-z,now"
    grep -qE 'GNU_STACK .* RW +0' <<<"$segments" ||
        fault "has an executable stack: link with -Wl,-z,noexecstack"
    grep -q ' __stack_chk_fail@' <<<"$symbols" ||
        fault "has no stack protector: compile with -fstack-protector-strong"
    grep -q '_chk@' <<<"$symbols" ||
        fault "has no checked functions: compile with -O2 -D_FORTIFY_SOURCE=2"
}

command -v readelf >/dev/null || {
    echo "check-release: readelf is needed, of the package binutils" >&2
    exit 1
}
readelf -h "$file" >/dev/null 2>&1 || {
    echo "check-release: $file: not an ELF file" >&2
    exit 1
}
dynamic=$(readelf -W --dynamic "$file")
symbols=$(readelf -W --dyn-syms "$file")
check_libraries
check_versions
check_hardening
[ "$faults" = 0 ]
