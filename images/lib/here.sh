# shellcheck shell=bash
# For those who bring their own tools, Buildroot and BitBake: images/lib/disk.sh runs what is in the search path.

in_tools() {
    "$@"
}

inside() {
    printf '%s' "$1"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    shift
    ((${#} == 0)) || printf '    %s\n' "$@" >&2
    exit 1
}
