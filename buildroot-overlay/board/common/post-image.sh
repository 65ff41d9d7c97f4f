#!/usr/bin/env bash
# Called by Buildroot with the folder of images and the board when root, kernel and U-Boot are there: makes the slot, the
# disk image and the signed update bundle.
set -euo pipefail
images=$1
board=$2
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
: "${TARGET_DIR:?is set by Buildroot}"

options=()
for module in "${modules[@]}"; do
    options+=(--module "$module")
done
"$root/images/lib/slot" --tree "$TARGET_DIR" --squashfs "$images/rootfs.squashfs" --kernel "$images/Image" \
    --out "$images/slot" --console "$console" --arguments "$arguments" "${options[@]}"

"$root/images/lib/selection" --from "$images" --out "$images/selection.img" "${firmware[@]}"
cp "$images/slot/boot.img" "$images/slot/root.img" "$images/"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bundle" "$work/root"
rm -f "$images/fieldcam.img"
genimage --rootpath "$work/root" --tmppath "$work/tmp" --inputpath "$images" --outputpath "$images" \
    --config "$here/genimage.cfg"

ln "$images/boot.img" "$images/root.img" "$work/bundle/" 2>/dev/null || cp "$images/boot.img" "$images/root.img" "$work/bundle/"
cat >"$work/bundle/manifest.raucm" <<MANIFEST
[update]
compatible=fieldcam-$variant
version=$version

[bundle]
format=verity

[image.rootfs]
filename=root.img
adaptive=block-hash-index

[image.boot]
filename=boot.img
MANIFEST
rm -f "$images/fieldcam.raucb"
# Which purpose a signer's certificate must have stands in the box's own configuration.
sed "s|^path=.*|path=$FIELDCAM_CA|" "$TARGET_DIR/etc/rauc/system.conf" >"$work/system.conf"
rauc --conf="$work/system.conf" bundle --cert="$FIELDCAM_SIGNING_CERT" --key="$FIELDCAM_SIGNING_KEY" \
    --signing-keyring="$FIELDCAM_CA" "$work/bundle" "$images/fieldcam.raucb"
