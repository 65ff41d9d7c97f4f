#!/usr/bin/env bash
# Called by Buildroot with the target folder and the board before the root is packed: what no file that is copied 1:1
# can hold.
set -euo pipefail
target=$1
board=$2
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

mkdir -p "$target/data" "$target/etc/rauc"
sed "s/@COMPATIBLE@/fieldcam-$variant/" "$root/images/rauc/system.conf.in" >"$target/etc/rauc/system.conf"
cp "$FIELDCAM_CA" "$target/etc/rauc/ca.pem"
cat >"$target/usr/lib/os-release" <<OS
NAME=Fieldcam
ID=fieldcam
ID_LIKE=buildroot
PRETTY_NAME="Fieldcam $version"
VERSION_ID=$version
IMAGE_ID=fieldcam
IMAGE_VERSION=$version
VARIANT_ID=$variant
OS
ln -sfn ../usr/lib/os-release "$target/etc/os-release"
ln -sfn ../run/systemd/resolve/stub-resolv.conf "$target/etc/resolv.conf"
mkdir -p "$target/usr/lib/modules-load.d"
rm -f "$target/usr/lib/modules-load.d/fieldcam-watchdog.conf"
[[ -z $watchdog_module ]] || printf '%s\n' "$watchdog_module" >"$target/usr/lib/modules-load.d/fieldcam-watchdog.conf"
# Made at the first start of a box.
rm -f "$target/etc/hostname" "$target/etc/machine-id"
# The clock of a box without one never stands before this.
touch -d "@${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}" "$target/usr/lib/clock-epoch"
