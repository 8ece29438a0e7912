#!/bin/bash
# Builds the libraries of the release binary: third_party/build.sh [CACHE_DIR]
#
# zlib, c-ares, OpenSSL, jansson, libxml2 and curl, static, each with what the
# program uses and no more, into one prefix: include/, lib/, SOURCES.tsv (what
# was built, and where it came from). The prefix is named after the hash of
# the pins, these scripts, the compiler and the architecture, so a second call
# is instant. Its path is the last line of standard output.
#
# CACHE_DIR  default $EC2SWEEP_CACHE, else ${XDG_CACHE_HOME:-~/.cache}/ec2sweep
# EC2SWEEP_SOURCES  a folder with the tarballs of pins.tsv, looked at first
# CC, ARCH, JOBS    compiler; architecture; compile jobs, default: all cores
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${1:-${EC2SWEEP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ec2sweep}}
arch=${ARCH:-$(uname -m)}
jobs=${JOBS:-$(nproc)}
export CC=${CC:-cc}
step=start
log=
work=

# Small parts, so that --gc-sections drops what is not called, and the usual
# hardening.
flags="-O2 -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2"
flags+=" -ffunction-sections -fdata-sections"
# Equal sources give equal libraries: OpenSSL would note when it was built.
export SOURCE_DATE_EPOCH=315532800

say() {
    echo "third_party: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

on_exit() {
    local status=$?
    [ -z "$work" ] || rm -rf "$work"
    if [ "$status" != 0 ] && [ -n "$log" ]; then
        say "$step failed: $(tail -n 1 "$log")"
        say "all of its output is in $log"
    fi
}
trap on_exit EXIT

need() { # COMMAND...
    local command
    for command; do
        command -v "$command" >/dev/null ||
            fail "$command is needed to build the libraries"
    done
}

# --- one function a library -------------------------------------------------

# arc4random came with glibc 2.36: where the build machine has it, Lambda may
# not, and there are other sources of random bytes.
cmake_library() { # NAME FLAGS OPTION...
    local name=$1 extra=$2
    shift 2
    cmake -S "$work/$name" -B "$work/$name.build" \
        -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_C_FLAGS="$flags -ffile-prefix-map=$work=. $extra" \
        -DCMAKE_C_FLAGS_RELEASE=-DNDEBUG -DCMAKE_PREFIX_PATH="$work/prefix" \
        -DCMAKE_INSTALL_PREFIX="$work/prefix" -DCMAKE_INSTALL_LIBDIR=lib \
        -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF \
        -DHAVE_ARC4RANDOM=OFF -DHAVE_ARC4RANDOM_BUF=OFF "$@"
    cmake --build "$work/$name.build" --parallel "$jobs"
    cmake --install "$work/$name.build"
}

# The library is the .c files of its top folder; the copy in the crate has
# no build files. zconf.h is made for a system with <unistd.h>.
build_zlib() {
    cd "$work/zlib"
    # shellcheck disable=SC2086  # flags are words
    printf '%s\0' ./*.c | xargs -0 -n 4 -P "$jobs" "$CC" $flags -c \
        -DHAVE_UNISTD_H=1 -DHAVE_STDARG_H=1 -D_LARGEFILE64_SOURCE=1
    ar rcs "$work/prefix/lib/libz.a" ./*.o
    cp zlib.h zconf.h "$work/prefix/include"
    sed -i 's/^#ifdef HAVE_UNISTD_H.*/#if 1/' "$work/prefix/include/zconf.h"
}

# No threads: lookups are driven by curl's own poll.
build_c-ares() {
    cmake_library c-ares '' -DCARES_STATIC=ON -DCARES_SHARED=OFF \
        -DCARES_STATIC_PIC=ON -DCARES_BUILD_TOOLS=OFF \
        -DCARES_BUILD_TESTS=OFF -DCARES_THREADS=OFF
}

# TLS 1.2 and 1.3 for a client, SHA-256 and HMAC, certificates; nothing that
# is loaded at run time. The folder of the default trust store is that of
# Amazon Linux.
build_openssl() {
    local off="shared tests docs apps dso module engine legacy comp quic dtls
        ssl3 tls1 tls1_1 weak-ssl-ciphers psk srp srtp cms ts cmp ct rfc3779
        idea rc2 rc4 rc5 md4 mdc2 seed camellia aria bf cast sm2 sm3 sm4 gost
        whirlpool rmd160 blake2 scrypt siphash siv ocb ec2m ml-dsa slh-dsa
        http ui-console autoload-config async nextprotoneg dsa dh des argon2
        thread-pool default-thread-pool sslkeylog tfo ktls
        integrity-only-ciphers"
    local options=() word
    for word in $off; do
        options+=("no-$word")
    done
    cd "$work/openssl"
    CFLAGS=$flags perl ./Configure "linux-$arch" "${options[@]}" \
        --prefix=/usr --libdir=lib --openssldir=/etc/pki/tls
    make -j "$jobs" build_libs
    make DESTDIR="$work/openssl.root" install_dev
    cp -R "$work/openssl.root/usr/include" "$work/openssl.root/usr/lib" \
        "$work/prefix"
}

build_jansson() {
    cmake_library jansson '' -DJANSSON_BUILD_DOCS=OFF \
        -DJANSSON_WITHOUT_TESTS=ON -DJANSSON_EXAMPLES=OFF
}

# The push parser with the SAX2 interface. UTF-8 and UTF-16 are built in.
build_libxml2() {
    local off="C14N CATALOG DEBUG DOCS HTML HTTP ICONV ICU ISO8859X LEGACY
        LZMA MODULES OUTPUT PATTERN PROGRAMS PYTHON READER READLINE REGEXPS
        RELAXNG SAX1 SCHEMAS SCHEMATRON TESTS THREADS VALID WRITER XINCLUDE
        XPATH XPTR ZLIB"
    local options=() word
    for word in $off; do
        options+=("-DLIBXML2_WITH_$word=OFF")
    done
    cmake_library libxml2 '' -DLIBXML2_WITH_PUSH=ON "${options[@]}"
    # One -isystem is enough for all.
    mv "$work/prefix/include/libxml2/libxml" "$work/prefix/include"
    rmdir "$work/prefix/include/libxml2"
}

# HTTP and HTTPS through proxies with Basic authentication. No default trust
# store: the program brings its own. The TLS session cache (25 hosts unless
# told otherwise) holds a session of each region. .netrc stays in, because
# without it the option that switches it off is an error.
build_curl() {
    local off="ALTSVC AWS BEARER_AUTH COOKIES DIGEST_AUTH DOH FORM_API
        GETOPTIONS HSTS KERBEROS_AUTH MIME NEGOTIATE_AUTH SRP
        WEBSOCKETS" options=() word
    for word in $off; do
        options+=("-DCURL_DISABLE_$word=ON")
    done
    for word in CURL_BROTLI CURL_ZSTD CURL_USE_LIBPSL CURL_USE_LIBSSH2 \
        CURL_USE_PKGCONFIG USE_LIBIDN2 USE_NGHTTP2 ENABLE_UNIX_SOCKETS \
        ENABLE_THREADED_RESOLVER BUILD_CURL_EXE BUILD_LIBCURL_DOCS \
        BUILD_MISC_DOCS ENABLE_CURL_MANUAL BUILD_EXAMPLES PICKY_COMPILER; do
        options+=("-D$word=OFF")
    done
    # Each transfer has a buffer of this size for what it has inflated, and
    # all regions send at once: 4 kB is what the XML parser takes anyway.
    sed -i 's/^\(#define DECOMPRESS_BUFFER_SIZE\) 16384/\1 4096/' \
        "$work/curl/lib/content_encoding.c"
    # The copy in the crate leaves out folders that CMakeLists.txt names.
    mkdir -p "$work"/curl/{docs/examples,tests}
    touch "$work"/curl/{docs,docs/examples,tests}/CMakeLists.txt
    cmake_library curl -DCURL_TLS_SESSION_SIZE=128 -DHTTP_ONLY=ON \
        -DBUILD_STATIC_LIBS=ON -DENABLE_ARES=ON -DCURL_ZLIB=ON \
        -DCURL_USE_OPENSSL=ON -DOPENSSL_USE_STATIC_LIBS=ON \
        -DOPENSSL_ROOT_DIR="$work/prefix" \
        -DCURL_DISABLE_OPENSSL_AUTO_LOAD_CONFIG=ON \
        -DCURL_CA_BUNDLE=none -DCURL_CA_PATH=none -DCURL_CA_FALLBACK=OFF \
        "${options[@]}"
}

# ----------------------------------------------------------------------------

key() {
    {
        cat "$here/pins.tsv" "$here/fetch.sh" "$here/build.sh"
        "$CC" --version
        "$CC" -dumpmachine
        echo "$arch"
    } | sha256sum | cut -c1-16
}

library() { # NAME
    local start=$SECONDS
    step="getting $1"
    log=$cache/log/$1.log
    "$here/fetch.sh" "$1" "$work" >"$log" 2>&1
    step="building $1"
    (set -e; "build_$1") >>"$log" 2>&1
    rm -rf "${work:?}/$1" "$work/$1.build"
    log=
    say "$(tail -n 1 "$work/SOURCES.tsv" | cut -f1-3 | tr '\t' ' ')," \
        "$((SECONDS - start)) s"
}

build_all() { # PREFIX
    local name
    need "$CC" ar make cmake perl patch tar xz sha256sum
    [ "$arch" = "$(uname -m)" ] ||
        fail "building for $arch on $(uname -m) is not possible"
    say "building the static libraries, once, into $1"
    mkdir -p "$cache/log"
    rm -rf "$cache"/build.*
    work=$(mktemp -d "$cache/build.XXXXXX")
    mkdir -p "$work"/prefix/{include,lib}
    for name in zlib c-ares openssl jansson libxml2 curl; do
        library "$name"
    done
    rm -rf "$work"/prefix/{bin,share,lib/cmake,lib/pkgconfig}
    cp "$work/SOURCES.tsv" "$work/prefix"
    mv -T "$work/prefix" "$1"
}

# Two builds at once wait for each other; the second finds the work done.
main() {
    local prefix
    need "$CC" sha256sum flock
    mkdir -p "$cache"
    prefix=$(cd "$cache" && pwd)/$arch-$(key)
    if [ ! -e "$prefix" ]; then
        exec 9>"$cache/lock"
        flock 9
        [ -e "$prefix" ] || build_all "$prefix"
        exec 9>&-
    fi
    echo "$prefix"
}

main
