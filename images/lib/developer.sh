# shellcheck shell=bash
# What images/build and the other parts set, and what those read.
# shellcheck disable=SC2154,SC2034
# A developer's image: root logs in over SSH with one key, through one day. Everything of it is here and in
# images/developer; an image without --developer has none of it.

# Those with files that no other image has. What else they depend on, every root has.
developer_packages=(dropbear-bin libtomcrypt1 libtommath1)
developer_programs=(usr/sbin/dropbear usr/bin/dropbearkey)

# developer_key FILE: its key as an image has it, on standard output: without a comment, and without options, for they
# would be orders to the box.
developer_key() {
    local kind blob rest size wanted
    local -a lines
    [[ -f $1 && -r $1 ]] || die "--developer: there is no file '$1' to read"
    mapfile -t lines <"$1"
    ((${#lines[@]} == 1)) || die "--developer: $1 must be exactly one line, a public key" "name the file that ends in .pub"
    read -r kind blob rest <<<"${lines[0]}"
    case $kind in
    ssh-ed25519) wanted=51 ;;
    ecdsa-sha2-nistp256) wanted=104 ;;
    ecdsa-sha2-nistp384) wanted=136 ;;
    ecdsa-sha2-nistp521) wanted=172 ;;
    ssh-rsa) wanted= ;;
    *) die "--developer: $1 does not begin with the name of a key that the box takes" \
        "ssh-ed25519, ecdsa-sha2-nistp256, -384, -521 or ssh-rsa, without options before it" "ssh-keygen -t ed25519 makes one" ;;
    esac
    # What stands there begins with the length of the kind and the kind again.
    if ! base64 -d <<<"$blob" >/dev/null 2>&1 ||
        ! cmp -s -n $((4 + ${#kind})) <(base64 -d <<<"$blob") <(printf '\0\0\0%b%s' "\\x$(printf %02x ${#kind})" "$kind"); then
        die "--developer: $1 is not a whole $kind key" "copy the .pub file anew"
    fi
    size=$(base64 -d <<<"$blob" | wc -c)
    [[ -n $wanted || $size -ge 279 ]] ||
        die "--developer: the RSA key of $1 has less than 2048 bits" "ssh-keygen -t ed25519 makes one that will do"
    ((size == ${wanted:-$size})) || die "--developer: $1 is not a whole $kind key" "copy the .pub file anew"
    printf '%s %s\n' "$kind" "$blob"
}

# developer_until DAY: refuses what is no day, or over.
developer_until() {
    [[ $1 =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}$ && $(date -u -d "$1" +%F 2>/dev/null) == "$1" ]] ||
        die "--until: '$1' is not a day" "write it as in $(date -u -d '+30 days' +%F)"
    [[ ! $1 < $(date -u +%F) ]] || die "--until: $1 (UTC) is over"
}

# developer_version VERSION: counts as VERSION itself, so the next update installs over it.
developer_version() {
    if [[ $1 == *+* ]]; then printf '%s.developer\n' "$1"; else printf '%s+developer\n' "$1"; fi
}

# make_developer FOLDER: adds the log-in to a root.
make_developer() {
    local folder=$1 libraries=usr/lib/aarch64-linux-gnu path name own
    local -a added=("${developer_programs[@]}")
    tree developer arm64 extract "${developer_packages[@]}"
    developer_tree=$made
    cp -a --no-preserve=ownership "$root/images/developer/." "$folder/"
    own=$folder/usr/lib/fieldcam/developer
    printf '%s\n' "$developer_line" >"$own/authorized_keys"
    printf '%s\n' "$until" >"$own/until"
    for path in "${developer_programs[@]}"; do
        install -m 755 "$developer_tree/$path" "$folder/$path"
    done
    for path in "$developer_tree/$libraries"/*.so.*; do
        name=$libraries/${path##*/}
        [[ ! -e $folder/$name ]] || continue
        cp -a "$path" "$folder/$name"
        added+=("$name")
    done
    for path in "${added[@]}"; do
        while read -r name; do
            [[ -e $folder/$libraries/$name ]] || die "/$path needs $name, which is not in the root"
        done < <(readelf -d "$folder/$path" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p')
    done
}
