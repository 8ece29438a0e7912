#!/bin/sh
# Prints a C file that defines TRUST_ROOTS_PEM: roots-to-c.sh FILE.pem...
#
# The certificates of all files, one after the other, each line a literal.
# What stands around the certificates is left out.
set -eu

[ $# -gt 0 ] || {
    echo "usage: roots-to-c.sh FILE.pem..." >&2
    exit 2
}

awk '
BEGIN {
    print "/* Made by scripts/roots-to-c.sh: change the PEM files instead. */"
    print "#include \"net/trust.h\""
    print ""
    # C17 5.2.4.1 promises 4095 bytes only; gcc and clang have no such limit.
    print "#pragma GCC diagnostic ignored \"-Woverlength-strings\""
    print ""
    printf "const char TRUST_ROOTS_PEM[] ="
}
{ sub(/\r$/, "") }
/^-----BEGIN CERTIFICATE-----$/ { inside = 1 }
inside && !/^[-A-Za-z0-9+\/= ]*$/ { fail("not PEM") }
inside { printf "\n    \"%s\\n\"", $0 }
/^-----END CERTIFICATE-----$/ {
    inside = 0
    n++
}
END {
    if (!failed && (inside || !n))
        fail("no whole certificate")
    if (failed)
        exit 1
    print ";"
}
function fail(why) {
    printf "roots-to-c.sh: %s: %s\n", FILENAME, why >"/dev/stderr"
    failed = 1
    exit 1
}
' "$@"
