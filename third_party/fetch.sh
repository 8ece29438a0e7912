#!/bin/bash
# Gets the source tree of one library: third_party/fetch.sh NAME DIR
#
# Leaves the tree in DIR/NAME and adds one line to DIR/SOURCES.tsv: name,
# version, origin, SHA-256. Where to look is said by pins.tsv; a tarball of
# the pinned name in $EC2SWEEP_SOURCES comes before everything else. Every
# origin is verified: tarballs and crates by the SHA-256 in pins.tsv, the
# distribution's packages by apt, up to the signature of the archive.
#
# DIR also keeps what several calls share: the lists of packages, and which
# hosts could not be reached.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$1
pinned=
dir=$(mkdir -p "$2" && cd "$2" && pwd)
tried=()

# curl(1) and cargo know the proxy variables in both spellings, apt does not.
[ -z "${HTTP_PROXY:-}" ] || export http_proxy="${http_proxy:-$HTTP_PROXY}"
[ -z "${HTTPS_PROXY:-}" ] || export https_proxy="${https_proxy:-$HTTPS_PROXY}"

note() { # what was tried without success
    case "; ${tried[*]/%/;}" in
    *"; $1;"*) ;;
    *) tried+=("$1") ;;
    esac
    echo "$name: $1"
}

finish() { # VERSION ORIGIN SHA256
    printf '%s\t%s\t%s\t%s\n' "$name" "$1" "$2" "$3" >>"$dir/SOURCES.tsv"
    exit 0
}

sha256() { # FILE
    sha256sum "$1" | cut -d' ' -f1
}

unpack() { # TARBALL: its single top folder becomes DIR/NAME
    rm -rf "${dir:?}/$name"
    mkdir "$dir/$name"
    tar -xf "$1" -C "$dir/$name" --strip-components=1
}

# --- upstream's tarball -----------------------------------------------------

try_file() { # FILE SHA256
    [ "$(sha256 "$1")" = "$2" ] && return
    note "$1 has another SHA-256 than pins.tsv"
    return 1
}

download() { # URL FILE SHA256
    local url=$1 host status=0
    host=${url#https://}
    host=${host%%/*}
    ! grep -qsx "$host" "$dir/unreachable" || return 1
    curl -fsSL --proto '=https' --connect-timeout 5 --max-time 900 \
        -o "$2" "$url" || status=$?
    case $status in
    0) try_file "$2" "$3" ;;
    5 | 6 | 7 | 28) # no name, no connection, no answer in time
        echo "$host" >>"$dir/unreachable"
        note "$host not reached"
        return 1
        ;;
    *)
        note "$url: curl error $status"
        return 1
        ;;
    esac
}

from_tarball() { # VERSION FILE SHA256 URLS
    local url file=${EC2SWEEP_SOURCES:+$EC2SWEEP_SOURCES/$2}
    if [ -n "$file" ] && [ -e "$file" ] && try_file "$file" "$3"; then
        unpack "$file"
        finish "$1" "file $2" "$3"
    fi
    command -v curl >/dev/null || {
        note "no curl(1) to download with"
        return
    }
    for url in $4; do
        if download "$url" "$dir/$2" "$3"; then
            unpack "$dir/$2"
            finish "$1" "$url" "$3"
        fi
    done
}

# --- the distribution's source package --------------------------------------

# Options given last, so that no setting of this machine weakens the check.
apt() { # COMMAND ARGUMENT...
    local command=$1
    shift
    APT_CONFIG=$dir/apt/apt.conf "$command" -qq \
        -o Acquire::AllowInsecureRepositories=false \
        -o APT::Get::AllowUnauthenticated=false "$@"
}

# The releases worth looking at, newest first; none of them is installed from.
apt_suites() { # ID CODENAME
    case $1 in
    debian)
        echo sid trixie-backports trixie trixie-security "$2" "$2-security"
        ;;
    ubuntu) echo resolute-updates resolute questing "$2-updates" "$2" ;;
    esac
}

# Prints deb-src lines for the mirrors that this machine is set up with.
apt_sources() {
    local ID=none VERSION_CODENAME=sid main security uri suite key
    # shellcheck source=/dev/null
    . /etc/os-release
    main=$(apt_mirror "$VERSION_CODENAME")
    security=$(apt_mirror "$VERSION_CODENAME-security")
    key=/usr/share/keyrings/$ID-archive-keyring.gpg
    for suite in $(apt_suites "$ID" "$VERSION_CODENAME" | tr ' ' '\n' |
        awk '!seen[$0]++'); do
        uri=$main
        [ "${suite%-security}" = "$suite" ] || uri=$security
        [ -z "$uri" ] || echo "deb-src [signed-by=$key] $uri $suite main"
    done
}

apt_mirror() { # SUITE
    # shellcheck disable=SC2016  # these are apt's variables
    apt-get indextargets --no-release-info \
        --format '$(REPO_URI) $(RELEASE)' \
        'Created-By: Packages' 'Component: main' |
        awk -v suite="$1" '$2 == suite && !n++ { print $1 }'
}

# A configuration of its own: the machine's lists and sources stay untouched.
apt_setup() {
    local apt=$dir/apt
    [ ! -e "$apt/ready" ] || return 0
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    cat >"$apt/apt.conf" <<END
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "";
END
    apt_sources >"$apt/sources.list"
    # One suite that a mirror does not have must not cost the others.
    apt apt-get update || true
    touch "$apt/ready"
}

# Prints "UPSTREAM-VERSION PACKAGE-VERSION", newest first; release candidates
# (with ~ in the upstream version) are left out.
apt_versions() { # FROM BELOW
    apt apt-cache showsrc --only-source "$name" | awk '
        $1 == "Version:" {
            up = $2
            sub(/^[0-9]+:/, "", up); sub(/-[^-]*$/, "", up)
            sub(/.*really/, "", up); sub(/[.+]dfsg.*/, "", up)
            if (up !~ /~/)
                print up, $2
        }' | sort -u | sort -k1,1Vr -k2,2Vr |
        while read -r up package; do
            if at_least "$up" "$1" && ! at_least "$up" "$2"; then
                echo "$up $package"
            fi
        done
}

at_least() { # VERSION MINIMUM
    printf '%s\n' "$2" "$1" | sort -V -C
}

apt_get_part() { # PART PACKAGE-VERSION
    (cd "$dir/package" &&
        apt apt-get source --download-only "--$1-only" "$name=$2")
}

# The patched package if it can be had, else the bare tarball: mirrors keep
# tarballs for longer than the patches of a superseded package.
apt_get_source() { # PACKAGE-VERSIONS of one upstream version; sets $got
    local package
    rm -rf "$dir/package"
    mkdir "$dir/package"
    for package in $1; do
        got=$package
        if apt_get_part tar "$package" && apt_get_part diff "$package"; then
            return
        fi
    done
    for package in $1; do
        got="$package, its patches not to be had"
        if apt_get_part tar "$package"; then
            return
        fi
    done
    return 1
}

apply_patches() { # TARBALL with debian/patches
    local patch tree=$dir/$name
    tar -xf "$1" -C "$tree"
    [ -e "$tree/debian/patches/series" ] || return 0
    while read -r patch _; do
        case $patch in
        '' | '#'*) ;;
        *) patch -d "$tree" -p1 -s -f -i "$tree/debian/patches/$patch" ;;
        esac
    done <"$tree/debian/patches/series"
}

unpack_package() { # UPSTREAM-VERSION
    local tarball=("$dir/package/"*.orig.tar.*)
    local patches=("$dir/package/"*.debian.tar.*)
    unpack "${tarball[0]}"
    [ ! -e "${patches[0]}" ] || apply_patches "${patches[0]}"
    finish "$1" "source package $got" "$(sha256 "${tarball[0]}")"
}

from_distro() { # FROM BELOW
    local versions up got
    command -v apt-get >/dev/null || {
        note "no apt-get for a source package"
        return
    }
    apt_setup
    # Where no list of packages could be had, it fails.
    versions=$(apt_versions "$1" "$2") || versions=
    for up in $(cut -d' ' -f1 <<<"$versions" | uniq); do
        if apt_get_source "$(awk -v up="$up" '$1 == up { print $2 }' \
            <<<"$versions")"; then
            unpack_package "$up"
        fi
    done
    note "no source package from $1 to below $2"
}

# --- the copy inside a crate ------------------------------------------------

from_crate() { # VERSION CRATE-VERSION SHA256 FOLDER
    local crate version tmp=$dir/crate
    command -v cargo >/dev/null || {
        note "no cargo for the crate $2"
        return
    }
    # The name ends where the version begins: libz-sys-1.1.31.
    crate=${2%%-[0-9]*}
    version=${2#"$crate-"}
    rm -rf "$tmp"
    mkdir -p "$tmp"
    touch "$tmp/lib.rs"
    cat >"$tmp/Cargo.toml" <<END
[package]
name = "sources"
version = "0.0.0"
edition = "2018"
[lib]
path = "lib.rs"
[dependencies]
$crate = "=${version%%+*}"
END
    (cd "$tmp" && cargo vendor --quiet vendor >/dev/null) || {
        note "cargo could not get the crate $2"
        return
    }
    if ! grep -q "\"package\":\"$3\"" \
        "$tmp/vendor/$crate/.cargo-checksum.json"; then
        note "the crate $2 has another SHA-256 than pins.tsv"
        return
    fi
    rm -rf "${dir:?}/$name"
    mv "$tmp/vendor/$crate/$4" "$dir/$name"
    finish "$1" "crate $2" "$3"
}

# ----------------------------------------------------------------------------

while IFS=$'\t' read -r -u 3 key route version file sum from; do
    [ "$key" = "$name" ] || continue
    pinned=${pinned:-$file}
    case $route in
    tarball) from_tarball "$version" "$file" "$sum" "$from" ;;
    distro) from_distro "$version" "$file" ;;
    crate) from_crate "$version" "$file" "$sum" "$from" ;;
    esac
done 3<"$here/pins.tsv"

printf -v list '; %s' "${tried[@]}"
echo "no source for $name: ${list#; }. Put ${pinned:-its tarball} into a" \
    "folder and set EC2SWEEP_SOURCES to that folder" >&2
exit 1
