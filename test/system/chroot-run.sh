#!/bin/sh
# Runs a binary where there is nothing but glibc: as in Lambda, or emptier.
#
#   test/system/chroot-run.sh ROOTDIR BOOTSTRAP [ARGUMENT...]
#
# ROOTDIR gets this machine's loader and libc, the lookup modules that glibc
# loads by itself, /etc/resolv.conf, /tmp, and the binary at
# /var/task/bootstrap. What is in it already stays, so files that arguments or
# variables name (an event, a CA file) are put there before, and named as seen
# from inside. Arguments, environment, standard streams and exit status are
# those of the binary. Root is not needed where users may have namespaces.
set -eu

[ $# -ge 2 ] || {
    echo "usage: chroot-run.sh ROOTDIR BOOTSTRAP [ARGUMENT...]" >&2
    exit 2
}
root=$1
binary=$2
shift 2

copy() { # FILE: to the same path below the root
    mkdir -p "$root$(dirname "$1")"
    cp -L "$1" "$root$1"
}

# The loader stands in the binary; the loader knows where libc is. Libraries
# other than glibc's are left out on purpose.
loader=$(readelf -W --program-headers "$binary" |
    sed -n 's/.*program interpreter: \(.*\)\]$/\1/p')
[ -n "$loader" ] || {
    echo "chroot-run: $binary names no loader" >&2
    exit 2
}
copy "$loader"
"$loader" --list "$binary" | awk '$2 == "=>" { print $1, $3 }' |
    while read -r name path; do
        case $name in
        libc.so.6 | libm.so.6 | libpthread.so.0 | libdl.so.2) copy "$path" ;;
        esac
    done
libc=$("$loader" --list "$binary" | awk '$1 == "libc.so.6" { print $3 }')
for name in libnss_dns.so.2 libnss_files.so.2 libresolv.so.2; do
    [ ! -e "$(dirname "$libc")/$name" ] || copy "$(dirname "$libc")/$name"
done

mkdir -p "$root/etc" "$root/tmp" "$root/var/task"
[ -e "$root/etc/resolv.conf" ] || [ ! -e /etc/resolv.conf ] ||
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp "$binary" "$root/var/task/bootstrap"
chmod 0755 "$root/var/task/bootstrap"

if [ "$(id -u)" = 0 ]; then
    exec chroot "$root" /var/task/bootstrap "$@"
fi
exec unshare --map-root-user chroot "$root" /var/task/bootstrap "$@"
