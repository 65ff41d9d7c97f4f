# shellcheck shell=bash
# What images/build and the other parts set, and what the tools tree expands.
# shellcheck disable=SC2154,SC2016
# Debian trees: what the builder works with (tools, amd64) and what goes onto the box (arm64, unpacked and set up without
# running any program of its kind). Sourced by images/build after scripts/lib.sh.
#
# Each tree has a lock file, images/lock/NAME.lock: `PACKAGE ARCH VERSION SHA256` of all that was unpacked. A locked
# version is taken as long as the mirror has it.

suite=trixie
# Of the release after it comes RAUC (and its libnl) alone: trixie's does not know the dm-verity of the kernel that a Raspberry Pi 5 needs
# (https://github.com/rauc/rauc/issues/1842).
next=forky
mirror=${FIELDCAM_DEBIAN_MIRROR:-http://deb.debian.org/debian}
security=${FIELDCAM_DEBIAN_SECURITY_MIRROR:-$mirror-security}
unused=('/usr/share/doc/*' '/usr/share/man/*' '/usr/share/info/*' '/usr/share/locale/*' '/usr/share/icons/*'
    '/usr/share/lintian/*' '/usr/share/bash-completion/*' '/usr/share/zsh/*')
lock_dir=$root/images/lock
# Trees that differ from their lock, for the last words.
relocked=()

# sources deb|deb-src: apt's sources, on standard output.
sources() {
    local kind=$1 from
    for from in "$mirror $suite" "$mirror $suite-updates" "$security $suite-security" "$mirror $suite-backports" \
        "$mirror $next"; do
        # Mirrors that stand still are good enough: what is taken is named by the lock files.
        printf '%s [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no] %s main non-free-firmware\n' \
            "$kind" "$from"
    done
}

# pins NAME: apt's preferences for the locked versions of a tree, on standard output. What the mirror no longer has is
# taken from the suites as they are.
pins() {
    printf 'Package: %s\nPin: release n=%s\nPin-Priority: %d\n\n' \
        'src:linux src:linux-signed-arm64 linux-base' "$suite-backports" 900 \
        'src:rauc src:libnl3' "$next" 900 '*' "$next" -10
    [[ ! -f $lock_dir/$1.lock ]] ||
        sed 's/^\([^ ]*\) \([^ ]*\) \([^ ]*\) .*/Package: \1:\2\nPin: version \3\nPin-Priority: 1001\n/' "$lock_dir/$1.lock"
}

# key_of_tree NAME WORD…: changes with what the tree is asked to be, and with its lock.
key_of_tree() {
    local file=$lock_dir/$1.lock
    [[ -f $file ]] || file=/dev/null
    printf '%s\n' "$@" "${unused[@]}" | cat - "$file" | sha256sum | cut -c1-12
}

# tree NAME ARCH VARIANT PACKAGE…: makes a tree unless it is there, and sets `made` to its folder.
tree() {
    local name=$1 arch=$2 variant=$3 folder log=$work/$1.log path sums
    shift 3
    local -a options=(--arch="$arch" --variant="$variant" --include="$(IFS=,; printf '%s' "$*")"
        --skip=check/qemu --aptopt='Apt::Install-Recommends "false"')
    made=$work/trees/$name-$(key_of_tree "$name" "$arch" "$variant" "$@")
    if [[ -d $made ]]; then
        touch "$made"
        return
    fi
    for path in "${unused[@]}"; do
        options+=(--dpkgopt="path-exclude=$path")
    done
    # Licences are for the list beside the image.
    options+=(--dpkgopt='path-include=/usr/share/doc/*/copyright')
    folder=$work/trees/$name.new
    sums=$work/trees/$name.sums
    rm -rf "$folder" "$work/trees/$name"-*
    mkdir -p "$work/trees"
    pins "$name" >"$work/$name.pref"
    : >"$sums"
    options+=(--setup-hook="cp '$work/$name.pref' \"\$1/etc/apt/preferences.d/fieldcam\"")
    # The archives go at different times; each is seen once at least.
    for path in extract essential customize; do
        options+=("--$path-hook=cd \"\$1/var/cache/apt/archives\" && find . -maxdepth 1 -name '*.deb' -exec sha256sum {} + >>'$sums'")
    done
    say "unpacking Debian $suite for $name ($arch)"
    sources deb | mmdebstrap "${options[@]}" "$suite" "$folder" - >"$log" 2>&1 || {
        grep -v '^I:' "$log" | tail -n 12 >&2
        die "the tree '$name' could not be made" "the whole log: $log" \
            "another mirror: FIELDCAM_DEBIAN_MIRROR=http://…/debian images/build"
    }
    lock "$name" "$sums"
    made=$work/trees/$name-$(key_of_tree "$name" "$arch" "$variant" "$@")
    mv "$folder" "$made"
}

# lock NAME SUMS: compares what was unpacked with the tree's lock file, and writes it anew or, with --locked, refuses.
lock() {
    # PACKAGE_VERSION_ARCH.deb, where a colon is written %3a.
    settle "$1" < <(sed -n 's|^\([0-9a-f]*\)  \./\([^_]*\)_\([^_]*\)_\([^_]*\)\.deb$|\2 \4 \3 \1|p' "$2" | sed 's/%3a/:/g')
}

# settle NAME: the same with the lock file's lines on standard input.
settle() {
    local now=$work/$1.lock file=$lock_dir/$1.lock names
    sort -u >"$now"
    [[ -s $now ]] || die "no package of '$1' was seen, its lock file would be empty"
    if [[ -f $file ]]; then
        cmp -s "$file" "$now" && return
        names=$(sort "$file" "$now" | uniq -u | cut -d' ' -f1 | sort -u | paste -sd' ')
        say "$1: these packages are not what images/lock/$1.lock says: $names"
        [[ -z $locked ]] || die "the mirror no longer has what images/lock/$1.lock names" \
            "build without --locked to take the newest, test it, and commit the lock file"
    fi
    mkdir -p "$lock_dir"
    cp "$now" "$file"
    relocked+=("$1")
}

# in_tools COMMAND…: a program of the tools tree. The work folder is at /work there.
in_tools() {
    unshare --mount --propagation private bash -c '
        mount --bind "$1" "$2/work" && mount -t proc proc "$2/proc" && mount --rbind /dev "$2/dev"
        tools=$2
        shift 2
        exec chroot "$tools" "$@"' in_tools "$work" "$tools" "$@"
}

# inside PATH: what a path of the work folder is called there.
inside() {
    printf '/work%s' "${1#"$work"}"
}
