#!/bin/bash
# Installs what is missing to build, test, check or release ec2sweep.
#
#   scripts/setup.sh [build] [test] [check] [release] [bench] [engine]
#                    [release-ARCH] [test-ARCH]
#
# The default is build test; engine is a container engine for sam local;
# release-ARCH and test-ARCH are for the other one of x86_64 and aarch64. Where
# no compiler has a glibc as old as Lambda's, release gets zig from PyPI, unless
# $CC says what compiles.
#
# It looks for commands, pkg-config modules and headers, so that nothing is
# asked of the package manager, and nothing is printed, when all is there.
set -eu
cd "$(dirname "$0")/.."
zig_version=0.17.1
# shellcheck source=scripts/proxy.sh
. scripts/proxy.sh

# One line per thing needed: set, how to see that it is there (c: one of these
# commands, m: pkg-config module, h: header, p: pytest, v: python's venv, n: these
# modules of perl, s: gcc's run-time of that sanitizer, l: clang's of sanitizers
# and fuzzer, x: a compiler for that architecture), package of Debian and Ubuntu,
# package of Amazon Linux and Fedora (-: none, or part of another).
needs() {
    cat <<'END'
build    c:gcc          gcc                   gcc
build    h:stdio.h      libc6-dev             glibc-devel
build    c:make         make                  make
build    c:find         findutils             findutils
build    c:cmp          diffutils             diffutils
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
test     s:address      -                     libasan
test     s:undefined    -                     libubsan
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
release  n:FindBin,IPC::Cmd perl              perl
release  c:cmake        cmake                 cmake
release  c:make         make                  make
release  c:tar          tar                   tar
release  c:gzip         gzip                  gzip
release  c:xz           xz-utils              xz
release  c:patch        patch                 patch
release  c:flock        util-linux            util-linux
release  c:curl         curl                  curl
release  c:objdump      binutils              binutils
release  c:python3      python3               python3
zig      c:python3      python3               python3
zig      v:venv         python3-venv          python3
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

venv_python() {
    local python
    for python in "${EC2SWEEP_PYTHON:-python3}" python3 /usr/bin/python3; do
        if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

have_sanitizer() { # NAME
    echo 'int main(void) { return 0; }' |
        gcc "-fsanitize=$1" -x c -o /dev/null - 2>/dev/null
}

# Debian's essential perl has neither of those that OpenSSL's Configure needs.
have_perl_modules() { # NAME,NAME...
    perl -e 'eval "require $_; 1" or exit 1 for split /,/, shift' "$1" \
        2>/dev/null
}

have() { # KIND:NAME
    case $1 in
    c:*) have_command "${1#c:}" ;;
    m:*) pkg-config --exists "${1#m:}" 2>/dev/null ;;
    h:*) have_header "${1#h:}" ;;
    p:*) scripts/python.sh --strict >/dev/null ;;
    l:*) have_clang_rt ;;
    v:*) venv_python >/dev/null ;;
    n:*) have_perl_modules "${1#n:}" ;;
    s:*) have_sanitizer "${1#s:}" ;;
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
        [ "$manager" = dnf ] && deb=$rpm
        [ "$deb" = - ] || have "$what" || echo "${deb/@CLANG@/$(clang_major)}"
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
    local dnf="dnf install -q -y --allowerasing"
    # shellcheck disable=SC2086  # words
    as_root $dnf "$@" >>"$log" 2>&1 || {
        # What only Fedora has in its main repository, Amazon Linux has here.
        grep -qs '^ID="\?amzn' /etc/os-release &&
            as_root $dnf spal-release >>"$log" 2>&1 &&
            as_root $dnf "$@" >>"$log" 2>&1
    }
}

fail() {
    echo "setup: $*" >&2
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

install_set() { # SET
    local packages
    mapfile -t packages < <(missing "$1")
    [ ${#packages[@]} -gt 0 ] || return 0
    can_install || fail "to $1, install these packages: ${packages[*]}"
    echo "setup: installing for $1: ${packages[*]}"
    if ! "install_${manager%-get}" "${packages[@]}"; then
        tail -n 20 "$log" >&2
        fail "could not install: ${packages[*]}"
    fi
}

# Into the folder where compiler.sh looks, with a link to the program itself.
install_zig() { # ARCH
    local zig=${EC2SWEEP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ec2sweep}/zig
    if [ -n "${CC:-}" ] || have "x:$1"; then
        return
    fi
    install_set zig
    echo "setup: no compiler for $1 has a glibc as old as Lambda's:" \
        "installing zig from PyPI into $zig"
    rm -rf "$zig"
    if ! { "$(venv_python)" -m venv "$zig" &&
        "$zig/bin/python" -m pip install -q --disable-pip-version-check \
            "ziglang==$zig_version" &&
        ln -s "$zig"/lib/python3*/site-packages/ziglang/zig "$zig/zig"; } \
        >>"$log" 2>&1 || ! have "x:$1"; then
        tail -n 20 "$log" >&2
        fail "no compiler for $1: install zig, or build in a container," \
            "as the Dockerfile says"
    fi
}

for set in "${@:-build test}"; do
    for name in $set; do
        install_set "$name"
        case $name in
        release) install_zig "$(uname -m)" ;;
        release-*) install_zig "${name#release-}" ;;
        esac
    done
done
