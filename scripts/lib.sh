# shellcheck shell=bash
# What the scripts share: messages, Debian packages, tools from PyPI, Rust.
# Sourced after `set -euo pipefail`; standard output belongs to the caller, so everything here talks on standard error.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target_dir=${CARGO_TARGET_DIR:-$root/target}
[[ $target_dir == /* ]] || target_dir=$PWD/$target_dir
# Whatever a cargo configuration says, cargo and the scripts mean the same folder.
export CARGO_TARGET_DIR=$target_dir
tools_dir=$target_dir/tools
me=${0##*/}

say() {
    printf '%s: %s\n' "$me" "$*" >&2
}

# Says what is wrong and, on the lines after it, what to do about it.
die() {
    say "$1"
    shift
    ((${#} == 0)) || printf '    %s\n' "$@" >&2
    exit 1
}

# The comment that opens the calling script.
usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# One invocation at a time may hold NAME; the lock ends with the process that took it.
hold_lock() {
    local file=$1 fd
    mkdir -p "$(dirname "$file")"
    exec {fd}>"$file"
    flock -n "$fd" || {
        say "another run is busy with ${file##*/}, waiting for it"
        flock "$fd"
    }
}

# Debian packages that are wanted but absent, collected by want_* and installed together.
missing_packages=()

want_command() {
    have "$1" || missing_packages+=("$2")
}

want_package() {
    have dpkg-query || return 0
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]] || missing_packages+=("$1")
}

# Whether install_missing could install something here without asking anybody.
may_install() {
    have apt-get && { ((EUID == 0)) || { have sudo && sudo -n true 2>/dev/null; }; }
}

install_missing() {
    ((${#missing_packages[@]})) || return 0
    local -a packages apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
    mapfile -t packages < <(printf '%s\n' "${missing_packages[@]}" | sort -u)
    missing_packages=()
    if ! may_install; then
        have apt-get || die "not installed here: ${packages[*]} (the names are Debian's)" \
            "install them with this system's package manager, then run this again"
        die "packages are missing, and this user may not install them; run" \
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}"
    fi
    ((EUID == 0)) || apt=(sudo -n "${apt[@]}")
    say "installing ${packages[*]}"
    # A source that does not answer must not stop what the other sources have.
    "${apt[@]}" update >&2 || say "apt-get update reported errors, trying with the lists there are"
    "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >&2 ||
        die "apt-get could not install ${packages[*]}" "the reason stands above; put it right and run this again"
}

# pip_tools NAME: a virtualenv under the build folder with exactly scripts/requirements/NAME.txt; prints its path.
pip_tools() {
    local name=$1 list=$root/scripts/requirements/$1.txt dir=$tools_dir/$1 sum
    sum=$(sha256sum <"$list" | cut -d' ' -f1)
    if [[ $(cat "$dir/.installed" 2>/dev/null) != "$sum" ]]; then
        # Debian's python3 has no ensurepip until python3-venv is there.
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing_packages+=(python3-venv)
        install_missing
        (
            hold_lock "$tools_dir/.$name.lock"
            [[ $(cat "$dir/.installed" 2>/dev/null) != "$sum" ]] || exit 0
            say "fetching $(sed -n 's/^\([a-z-]*==[^ ]*\).*/\1/p' "$list" | paste -sd' ') from PyPI"
            rm -rf "$dir"
            python3 -m venv "$dir" >&2
            "$dir/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: \
                --require-hashes -r "$list" >&2 ||
                die "pip could not install $list" "check that PyPI (or the mirror pip is configured for) can be reached"
            printf '%s\n' "$sum" >"$dir/.installed"
        )
    fi
    printf '%s\n' "$dir"
}

# Debian's names for a Rust that is at least version $1, when it has one: oldstable keeps a new one beside its own.
debian_rust() {
    local package candidate
    have apt-cache || return 1
    for package in cargo cargo-web; do
        candidate=$(apt-cache policy "$package" 2>/dev/null | sed -n 's/^  Candidate: //p')
        if [[ -n $candidate ]] && printf '%s\n' "$1" "${candidate%%+*}" | sort -V -C; then
            printf '%s\n' "$package" "rustc${package#cargo}"
            return 0
        fi
    done
    return 1
}

# The compiler, linker and Rust that Cargo.toml asks for, or the way to get them.
need_rust() {
    local wanted found=none bin=${CARGO_HOME:-$HOME/.cargo}/bin
    local -a packages=()
    # rustup's folder is not in the PATH of a shell that was open before rustup came.
    have cargo || [[ ! -x $bin/cargo ]] || PATH=$bin:$PATH
    want_command cc gcc
    want_package libc6-dev
    # The crate v4l reads the kernel's own header with it.
    want_package libclang-dev
    # For the crate udev, in builds for this machine.
    want_command pkg-config pkg-config
    want_package libudev-dev
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] || want_package ca-certificates
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
    if have cargo && have rustc; then
        found=$(rustc --version | cut -d' ' -f2)
        if ! printf '%s\n' "$wanted" "$found" | sort -V -C; then
            ! have rustup || die "Rust $wanted or newer is needed, here is $found" "run: rustup update stable"
            say "Rust $wanted or newer is needed, here is $found"
            found=none
        fi
    fi
    if [[ $found == none ]]; then
        # The lists of a machine that was just set up may be empty.
        [[ -n $(apt-cache policy cargo 2>/dev/null) ]] || ! may_install || {
            missing_packages+=(ca-certificates)
            install_missing
        }
        mapfile -t packages < <(debian_rust "$wanted")
        ((${#packages[@]})) || die "Rust $wanted or newer is needed, and this system packages none; install it with" \
            "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile default"
        missing_packages+=("${packages[@]}")
    fi
    install_missing
}
