#!/usr/bin/env bash
# Called by Buildroot with the folder of images and the board when root, kernel and U-Boot are there: makes the slot, the
# disk image and the signed update bundle.
set -euo pipefail
images=$1
board=$2
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=images/lib/disk.sh
source "$root/images/lib/disk.sh"
: "${TARGET_DIR:?is set by Buildroot}"

options=()
for module in "${modules[@]}" $watchdog_module; do
    options+=(--module "$module")
done
"$root/images/lib/slot" --tree "$TARGET_DIR" --squashfs "$images/rootfs.squashfs" --kernel "$images/Image" \
    --out "$images/slot" --console "$console" --arguments "$arguments" "${options[@]}"

"$root/images/lib/selection" --from "$images" --out "$images/selection.img" "${firmware[@]}"
cp "$images/slot/boot.img" "$images/slot/root.img" "$images/"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/root"
rm -f "$images/fieldcam.img"
genimage --rootpath "$work/root" --tmppath "$work/tmp" --inputpath "$images" --outputpath "$images" \
    --config "$here/genimage.cfg"

scratch=$work
make_bundle "$images/fieldcam.raucb" "fieldcam-$variant" "$version" "$images/boot.img" "$images/root.img" \
    "$TARGET_DIR/etc/rauc/system.conf" "$FIELDCAM_CA" "$FIELDCAM_SIGNING_CERT" "$FIELDCAM_SIGNING_KEY"
