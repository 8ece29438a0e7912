#!/bin/bash
# Builds the libraries of the release binary: third_party/build.sh [CACHE_DIR]
#
# zlib, c-ares, OpenSSL, jansson, libxml2 and curl, static, each with what the
# program uses and no more, into one prefix: include/, lib/, SOURCES.tsv (what
# was built, and where it came from). Each library is kept under the hash of
# all that makes it: its pins, how it is built, the compiler, the architecture
# and the libraries it is built upon. So a change makes one library anew, and
# a second call is instant. The path of the prefix is the last line of
# standard output.
#
# CACHE_DIR  default $EC2SWEEP_CACHE, else ${XDG_CACHE_HOME:-~/.cache}/ec2sweep
# EC2SWEEP_SOURCES  a folder with the tarballs of pins.tsv, looked at first
# ARCH       x86_64 or aarch64; default: this machine's
# CC         compiler for ARCH, may have arguments ("zig cc -target ...");
#            default: that of compiler.sh
# JOBS       compile jobs, default: all cores
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/proxy.sh
. "$here/../scripts/proxy.sh"
cache=${1:-${EC2SWEEP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ec2sweep}}
arch=${ARCH:-$(uname -m)}
jobs=${JOBS:-$(nproc)}
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

# Lines of other projects that this build changes. A version that has them no
# more must not go unnoticed.
amend() { # FILE SED-PATTERN REPLACEMENT
    grep -q "$2" "$1" || fail "$step: nothing like $2 in ${1##*/}"
    sed -i "s/$2/$3/" "$1"
}

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
    [ "$arch" = "$(uname -m)" ] ||
        set -- -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$arch" "$@"
    cmake -S "$work/$name" -B "$work/$name.build" \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER="$work/bin/target-cc" \
        -DCMAKE_AR="$work/bin/target-ar" \
        -DCMAKE_RANLIB="$work/bin/target-ranlib" \
        -DCMAKE_C_FLAGS="$flags -ffile-prefix-map=$work=. $extra" \
        -DCMAKE_C_FLAGS_RELEASE=-DNDEBUG -DCMAKE_PREFIX_PATH="$work/prefix" \
        -DCMAKE_INSTALL_PREFIX="$work/part" -DCMAKE_INSTALL_LIBDIR=lib \
        -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF \
        -DHAVE_ARC4RANDOM=OFF -DHAVE_ARC4RANDOM_BUF=OFF "$@"
    cmake --build "$work/$name.build" --parallel "$jobs"
    cmake --install "$work/$name.build"
}

# Either zlib-ng, with the interface of zlib, or zlib itself: the .c files of
# its top folder, as the copy in the crate has no build files, and zconf.h made
# for a system with <unistd.h>.
build_zlib() {
    if [ -e "$work/zlib/zlib-ng.h.in" ]; then
        cmake_library zlib '' -DZLIB_COMPAT=ON -DWITH_GZFILEOP=OFF \
            -DWITH_GTEST=OFF
        return
    fi
    cd "$work/zlib"
    # shellcheck disable=SC2086  # flags are words
    printf '%s\0' ./*.c | xargs -0 -n 4 -P "$jobs" target-cc $flags -c \
        -DHAVE_UNISTD_H=1 -DHAVE_STDARG_H=1 -D_LARGEFILE64_SOURCE=1
    target-ar rcs "$work/part/lib/libz.a" ./*.o
    cp zlib.h zconf.h "$work/part/include"
    sed -i 's/^#ifdef HAVE_UNISTD_H.*/#if 1/' "$work/part/include/zconf.h"
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
    # The private keys of a handshake go when it is over, not with the
    # connection: with ML-KEM 8 kB for each of two to a region, and nobody can
    # find them later.
    amend "$work/openssl/ssl/statem/statem_lib.c" \
        '^ *ssl3_cleanup_key_block(s);$' '\0 \
        for (size_t i = 0; i < s->s3.tmp.num_ks_pkey; i++) { \
            if (s->s3.tmp.pkey == s->s3.tmp.ks_pkey[i]) \
                s->s3.tmp.pkey = NULL; \
            EVP_PKEY_free(s->s3.tmp.ks_pkey[i]); \
            s->s3.tmp.ks_pkey[i] = NULL; \
        } \
        s->s3.tmp.num_ks_pkey = 0; \
        EVP_PKEY_free(s->s3.tmp.pkey); \
        s->s3.tmp.pkey = NULL;'
    cd "$work/openssl"
    CC=target-cc AR=target-ar RANLIB=target-ranlib CFLAGS=$flags \
        perl ./Configure "linux-$arch" \
        "${options[@]}" --prefix=/usr --libdir=lib --openssldir=/etc/pki/tls
    make -j "$jobs" build_libs
    make DESTDIR="$work/openssl.root" install_dev
    cp -R "$work/openssl.root/usr/include" "$work/openssl.root/usr/lib" \
        "$work/part"
    rm -rf "$work/openssl.root"
}

# A token that could not grow for lack of memory was taken for a whole one and
# copied past its end (issue 362 of jansson, open in 2.15.1).
build_jansson() {
    patch -d "$work/jansson" -p1 <<'END'
--- a/src/load.c
+++ b/src/load.c
@@ -227,12 +227,19 @@
     return stream_get(&lex->stream, error);
 }
 
-static void lex_save(lex_t *lex, int c) { strbuffer_append_byte(&lex->saved_text, c); }
+static void lex_save(lex_t *lex, int c) {
+    if (strbuffer_append_byte(&lex->saved_text, c))
+        lex->stream.state = STREAM_STATE_ERROR;
+}
 
 static int lex_get_save(lex_t *lex, json_error_t *error) {
     int c = stream_get(&lex->stream, error);
     if (c != STREAM_STATE_EOF && c != STREAM_STATE_ERROR)
         lex_save(lex, c);
+    if (lex->stream.state == STREAM_STATE_ERROR) {
+        error_set(error, lex, json_error_out_of_memory, "out of memory");
+        return STREAM_STATE_ERROR;
+    }
     return c;
 }
 
END
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
    # What was read is dropped from the buffer at this size: in small steps the
    # buffer of each region does not grow to 12 kB.
    amend "$work/libxml2/parser.c" 'cur - ctxt->input->base > 4096))' \
        'cur - ctxt->input->base > 1024))'
    # The parser alone is 8 % faster with -O3 (2.15.4, gcc 12).
    # Without threads 2.9.14 compiles only where it sees no <pthread.h>.
    cmake_library libxml2 -O3 -DLIBXML2_WITH_PUSH=ON -DHAVE_PTHREAD_H=OFF \
        "${options[@]}"
    # One -isystem is enough for all.
    mv "$work/part/include/libxml2/libxml" "$work/part/include"
    rmdir "$work/part/include/libxml2"
}

# HTTP and HTTPS through proxies with Basic authentication. No default trust
# store: the program brings its own. .netrc stays in, because without it the
# option that switches it off is an error.
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
    # Each transfer has a buffer for what it has inflated and one for what it
    # sends, and all regions are asked at once: 8 kB and 4 kB are enough.
    amend "$work/curl/lib/content_encoding.c" \
        '\(#define DECOMPRESS_BUFFER_SIZE\) 16384' '\1 8192'
    amend "$work/curl/lib/urldata.h" \
        '\(#define UPLOADBUFFER_MIN \) *CURL_MAX_WRITE_SIZE' '\1 4096'
    # Headers are copied, not formatted a byte at a time; what is formatted goes
    # to where there is room for it; and an inflater is not cleared, as it is not
    # by zlib's own allocator: an eighth of the instructions of an answer about
    # regions that have not changed.
    amend "$work/curl/lib/http.c" \
        'result = curlx_dyn_addf(req, "%s\\r\\n", origp);' \
        'if(!(result = curlx_dyn_add(req, origp))) \
            result = curlx_dyn_addn(req, STRCONST("\\r\\n"));'
    amend "$work/curl/lib/mprintf.c" \
        'CURLcode result = curlx_dyn_addn(infop->b, &outc, 1);' \
        'struct dynbuf *b = infop->b; CURLcode result; \
            if(b->leng + 1 < b->allc) { \
                b->bufr[b->leng++] = (char)outc; b->bufr[b->leng] = 0; \
                return 0; \
            } \
            result = curlx_dyn_addn(b, \&outc, 1);'
    amend "$work/curl/lib/curlx/dynbuf.c" \
        '\(#define MIN_FIRST_ALLOC\) 32' '\1 128'
    amend "$work/curl/lib/content_encoding.c" \
        'not a typo, keep it curlx_calloc()' "as zlib's own allocator"
    amend "$work/curl/lib/content_encoding.c" \
        'return curlx_calloc(items, size);' \
        'return curlx_malloc((size_t)items * size);'
    # The copy in the crate leaves out folders that CMakeLists.txt names.
    mkdir -p "$work"/curl/{docs/examples,tests}
    touch "$work"/curl/{docs,docs/examples,tests}/CMakeLists.txt
    cmake_library curl -DHTTP_ONLY=ON \
        -DBUILD_STATIC_LIBS=ON -DENABLE_ARES=ON -DCURL_ZLIB=ON \
        -DCURL_USE_OPENSSL=ON -DOPENSSL_USE_STATIC_LIBS=ON \
        -DOPENSSL_ROOT_DIR="$work/prefix" \
        -DCURL_DISABLE_OPENSSL_AUTO_LOAD_CONFIG=ON \
        -DCURL_CA_BUNDLE=none -DCURL_CA_PATH=none -DCURL_CA_FALLBACK=OFF \
        "${options[@]}"
}

# ----------------------------------------------------------------------------

# Order matters: a library comes after those that it is built upon.
libraries="zlib c-ares openssl jansson libxml2 curl"

dependencies() { # NAME
    [ "$1" != curl ] || echo zlib c-ares openssl
}

# All that the bytes of a library depend on, as one word.
key() { # NAME
    local other
    {
        grep -P "^$1\t" "$here/pins.tsv"
        cat "$here/fetch.sh"
        declare -f "build_$1" cmake_library
        echo "$compiler $flags $arch"
        for other in $(dependencies "$1"); do
            key "$other"
        done
    } | sha256sum | cut -c1-16
}

# Compilers may be two words and an architecture's tools have several names;
# the builds see one name for each.
wrap_tools() {
    local name ar
    case $CC in
    *zig*) ar="${CC%% cc *} ar" ;;
    *-linux-gnu-gcc*) ar=${CC%gcc*}ar ;;
    *) ar="ar" ;;
    esac
    mkdir "$work/bin"
    printf '#!/bin/sh\nexec %s "$@"\n' "$CC" >"$work/bin/target-cc"
    printf '#!/bin/sh\nexec %s "$@"\n' "$ar" >"$work/bin/target-ar"
    printf '#!/bin/sh\nexec %s s "$@"\n' "$ar" >"$work/bin/target-ranlib"
    chmod +x "$work"/bin/*
    for name in target-cc target-ar; do
        "$work/bin/$name" --version >/dev/null 2>&1 ||
            fail "$(tail -n 1 "$work/bin/$name" | cut -d' ' -f2) does not run"
    done
    export PATH=$work/bin:$PATH
}

build_library() { # NAME PART
    local start=$SECONDS
    step="getting $1"
    log=$cache/log/$1.log
    rm -rf "$work/part" "$work/SOURCES.tsv"
    mkdir -p "$work"/part/{include,lib}
    "$here/fetch.sh" "$1" "$work" >"$log" 2>&1
    step="building $1"
    (set -e; "build_$1") >>"$log" 2>&1
    rm -rf "${work:?}/$1" "$work/$1.build" \
        "$work"/part/{bin,share,lib/cmake,lib/pkgconfig}
    mv "$work/SOURCES.tsv" "$work/part"
    log=
    say "$(cut -f1-3 "$work/part/SOURCES.tsv" | tr '\t' ' ')," \
        "$((SECONDS - start)) s"
    mv -T "$work/part" "$2"
}

build_all() { # PREFIX
    local name part
    need ar make cmake perl patch tar xz sha256sum
    say "building what is missing of the static libraries, into $1"
    mkdir -p "$cache"/{log,part}
    rm -rf "$cache"/build.*
    work=$(mktemp -d "$cache/build.XXXXXX")
    wrap_tools
    mkdir -p "$work/prefix"
    for name in $libraries; do
        part=$cache/part/$arch-$name-$(key "$name")
        [ -e "$part" ] || build_library "$name" "$part"
        cat "$part/SOURCES.tsv" >>"$work/sources"
        cp -R "$part"/. "$work/prefix"
    done
    mv "$work/sources" "$work/prefix/SOURCES.tsv"
    mv -T "$work/prefix" "$1"
}

# Two builds at once wait for each other; the second finds the work done.
main() {
    local prefix name
    need sha256sum flock
    case $arch in
    arm64) arch=aarch64 ;;
    amd64) arch=x86_64 ;;
    esac
    CC=${CC:-$("$here/compiler.sh" "$arch")}
    # zig names its target in --version, and from 0.17 on only there.
    compiler=$($CC --version && { $CC -dumpmachine 2>/dev/null || :; }) ||
        fail "$CC does not run"
    case $CC in
    *' '*) compiler+=" ${CC#* }" ;;
    esac
    mkdir -p "$cache"
    cache=$(cd "$cache" && pwd)
    prefix=$cache/$arch-$(for name in $libraries; do key "$name"; done |
        sha256sum | cut -c1-16)
    if [ ! -e "$prefix" ]; then
        exec 9>"$cache/lock"
        flock 9
        [ -e "$prefix" ] || build_all "$prefix"
        exec 9>&-
    fi
    echo "$prefix"
}

main
