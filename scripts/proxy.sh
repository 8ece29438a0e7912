# shellcheck shell=sh
# Sourced by what downloads: apt and curl look for some of these variables in
# small letters alone.
[ -z "${HTTP_PROXY:-}" ] || export http_proxy="${http_proxy:-$HTTP_PROXY}"
[ -z "${HTTPS_PROXY:-}" ] || export https_proxy="${https_proxy:-$HTTPS_PROXY}"
[ -z "${NO_PROXY:-}" ] || export no_proxy="${no_proxy:-$NO_PROXY}"
