# shellcheck shell=bash
# What the scripts that Buildroot calls share. Sourced with the board's name in `board`.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
# shellcheck disable=SC2034
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n1)
# Filled in by the board's file.
variant='' console='' arguments='' watchdog_module='' modules=() firmware=()
# shellcheck source=../rpi4/board.conf disable=SC2154
source "$here/../$board/board.conf"

# shellcheck source=images/lib/here.sh
source "$root/images/lib/here.sh"

# Boxes take updates only from those that this authority vouches for: there is no default one.
[[ -f ${FIELDCAM_CA:-} && -f ${FIELDCAM_SIGNING_CERT:-} && -f ${FIELDCAM_SIGNING_KEY:-} ]] ||
    die "who signs updates? set FIELDCAM_CA, FIELDCAM_SIGNING_CERT and FIELDCAM_SIGNING_KEY to PEM files" \
        "a chain for development: images/build makes one under target/images/keys (ca.pem, signer.pem, signer.key)"
