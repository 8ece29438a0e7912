#!/bin/bash
# Installs what is missing to build, test, check or release ec2sweep.
#
#   scripts/setup.sh [build] [test] [check] [release] [bench] [engine]
#                    [release-ARCH] [test-ARCH]
#
# The default is build test; engine is a container engine for sam local;
# release-ARCH and test-ARCH are for the other one of x86_64 and aarch64.
#
# It looks for commands, pkg-config modules and headers, so that nothing is
# asked of the package manager, and nothing is printed, when all is there.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=scripts/proxy.sh
. scripts/proxy.sh

# One line per thing needed: set, how to see that it is there (c: one of these
# commands, m: pkg-config module, h: header, p: pytest, v: python's venv, l: the
# sanitizer and fuzzer run-time of clang, x: a compiler for that architecture),
# package of Debian and Ubuntu, package of Amazon Linux and Fedora (-: none).
needs() {
    cat <<'END'
build    c:gcc          gcc                   gcc
build    h:stdio.h      libc6-dev             glibc-devel
build    c:make         make                  make
build    c:pkg-config   pkg-config            pkgconf-pkg-config
build    m:libcurl      libcurl4-openssl-dev  libcurl-devel
build    m:openssl      libssl-dev            openssl-devel
build    m:libxml-2.0   libxml2-dev           libxml2-devel
build    m:jansson      libjansson-dev        jansson-devel
build    m:zlib         zlib1g-dev            zlib-devel
test     m:cmocka       libcmocka-dev         libcmocka-devel
test     m:libmicrohttpd libmicrohttpd-dev    libmicrohttpd-devel
test     m:gnutls       libgnutls28-dev       gnutls-devel
test     c:python3      python3               python3
test     p:pytest       python3-pytest        python3-pytest
test     c:openssl      openssl               openssl
test     c:curl         curl                  curl
check    c:clang        clang                 clang
check    l:clang        libclang-rt-@CLANG@-dev compiler-rt
check    c:clang-tidy   clang-tidy            clang-tools-extra
check    c:clang-format-14,clang-format clang-format clang-tools-extra
check    c:cppcheck     cppcheck              cppcheck
check    c:shellcheck   shellcheck            ShellCheck
check    c:codespell    codespell             codespell
check    c:valgrind     valgrind              valgrind
check    c:gcovr        gcovr                 gcovr
check    v:venv         python3-venv          python3
check    c:strace       strace                strace
engine   c:podman       podman                podman
engine   c:runc         runc                  runc
engine   c:busybox      busybox-static        busybox
engine   c:iptables     iptables              iptables-nft
engine   c:/usr/lib/podman/netavark,/usr/libexec/podman/netavark netavark netavark
release  c:gcc          gcc                   gcc
release  h:stdio.h      libc6-dev             glibc-devel
release  c:perl         perl                  perl
release  c:cmake        cmake                 cmake
release  c:make         make                  make
release  c:xz           xz-utils              xz
release  c:patch        patch                 patch
release  c:flock        util-linux            util-linux
release  c:curl         curl                  curl
release  c:objdump      binutils              binutils
release  c:python3      python3               python3
bench    c:go           golang-go             golang
bench    c:ip           iproute2              iproute
bench    v:venv         python3-venv          python3
release-aarch64 x:aarch64 gcc-aarch64-linux-gnu -
release-aarch64 x:aarch64 libc6-dev-arm64-cross -
release-x86_64  x:x86_64  gcc-x86-64-linux-gnu  -
release-x86_64  x:x86_64  libc6-dev-amd64-cross -
test-aarch64    c:qemu-aarch64 qemu-user        -
test-x86_64     c:qemu-x86_64  qemu-user        -
END
}

have_command() {
    local name
    for name in ${1//,/ }; do
        command -v "$name" >/dev/null && return
    done
    return 1
}

have_header() {
    local dir
    for dir in /usr/include /usr/include/*-linux-gnu; do
        [ ! -e "$dir/$1" ] || return 0
    done
    return 1
}

have_clang_rt() {
    local file
    file=$(clang -print-libgcc-file-name --rtlib=compiler-rt 2>/dev/null) &&
        compgen -G "$(dirname "$file")/libclang_rt.asan*" >/dev/null
}

have_venv() {
    local python
    for python in "${EC2SWEEP_PYTHON:-python3}" python3 /usr/bin/python3; do
        ! "$python" -c 'import ensurepip, venv' 2>/dev/null || return 0
    done
    return 1
}

have() { # KIND:NAME
    case $1 in
    c:*) have_command "${1#c:}" ;;
    m:*) pkg-config --exists "${1#m:}" 2>/dev/null ;;
    h:*) have_header "${1#h:}" ;;
    p:*) scripts/python.sh --strict >/dev/null ;;
    l:*) have_clang_rt ;;
    v:*) have_venv ;;
    x:*) CC='' third_party/compiler.sh "${1#x:}" >/dev/null 2>&1 ;;
    esac
}

# Which major version clang has, or would have once installed.
clang_major() {
    clang -dumpversion 2>/dev/null | cut -d. -f1 | grep . ||
        apt-cache depends clang 2>/dev/null |
        sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | grep . ||
        echo 14
}

missing() { # SET: the missing packages of one set, one a line
    local set what deb rpm
    while read -r set what deb rpm; do
        [ "$set" = "$1" ] || continue
        if ! have "$what"; then
            [ "$manager" = dnf ] && deb=$rpm
            [ "$deb" = - ] || echo "${deb/@CLANG@/$(clang_major)}"
        fi
    done < <(needs) | sort -u
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo --preserve-env=http_proxy,https_proxy,no_proxy "$@"
    fi
}

update_once() {
    [ -z "${updated:-}" ] || return 0
    updated=1
    as_root apt-get -q update >>"$log" 2>&1
}

install_apt() {
    # The lists of a fresh machine are empty, those of an old one out of date.
    update_once || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
        --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1
}

install_dnf() {
    # Amazon Linux comes with libcurl-minimal, which libcurl replaces.
    as_root dnf install -q -y --allowerasing "$@" >>"$log" 2>&1
}

fail() {
    echo "setup: $1" >&2
    exit 1
}

can_install() {
    [ -n "$manager" ] && { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }
}

manager=
for candidate in apt-get dnf; do
    if command -v "$candidate" >/dev/null; then
        manager=$candidate
        break
    fi
done

log=$(mktemp "${TMPDIR:-/tmp}/ec2sweep-setup.XXXXXX")
trap 'rm -f "$log"' EXIT

for set in "${@:-build test}"; do
    for name in $set; do
        mapfile -t packages < <(missing "$name")
        [ ${#packages[@]} -gt 0 ] || continue
        can_install || fail "to $name, install these packages: ${packages[*]}"
        echo "setup: installing for $name: ${packages[*]}"
        if ! "install_${manager%-get}" "${packages[@]}"; then
            tail -n 20 "$log" >&2
            fail "could not install: ${packages[*]}"
        fi
    done
done
