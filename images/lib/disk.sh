# shellcheck shell=bash
# What images/build, images/lib/slot and the other parts set, and what the tools' shell expands.
# shellcheck disable=SC2154,SC2016,SC2034
# What is made of a root: the slot's root and boot partition, the signed bundle, the disk image. Sizes in MiB.
#
# Whoever sources it says how programs are run (`in_tools`), what a path is called there (`inside`), where work may lie
# (`scratch`) and what an initrd is packed with (`compress`).

boot_size=128 state_size=4 slot_size=96 root_size=320 data_size=256

# fixed_uuid NAME: the same for each build of a board.
fixed_uuid() {
    python3 -c 'import sys, uuid; print(uuid.uuid5(uuid.NAMESPACE_DNS, sys.argv[1] + ".fieldcam.image"))' "$1"
}

# fat FILE MIB LABEL FOLDER: a FAT file system with what is in the folder.
fat() {
    local file=$1 size=$2 label=$3 folder=$4
    rm -f "$file"
    truncate -s "${size}M" "$file"
    find "$folder" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    in_tools env TZ=UTC bash -c '
        mkfs.fat --invariant -F 32 -i "$3" -n "$2" "$1" >/dev/null
        cd "$4" && find . -mindepth 1 -maxdepth 1 | LC_ALL=C sort | while read -r path; do
            mcopy -s -m -Q -i "$1" "$path" "::/${path#./}"
        done' fat "$(inside "$file")" "$label" "$(printf %s "$label" | crc /dev/stdin)" "$(inside "$folder")"
}

crc() {
    python3 -c 'import sys, zlib; print("%08x" % zlib.crc32(open(sys.argv[1], "rb").read()))' "$1"
}

swapped() {
    printf '%s' "${1:6:2}${1:4:2}${1:2:2}${1:0:2}"
}

# make_verity FILE: the hash tree behind a root; sets `verity` to BLOCKS,HASH,SALT as init reads it.
make_verity() {
    local file=$1 blocks salt said
    # Whole blocks of 4096, so that the tree begins on one.
    truncate -s %4096 "$file"
    blocks=$(($(stat -c %s "$file") / 4096))
    # The same root gives the same tree.
    salt=$(sha256sum "$file" | cut -c1-64)
    said=$(in_tools veritysetup format --data-block-size=4096 --hash-block-size=4096 --hash=sha256 --data-blocks="$blocks" \
        --hash-offset=$((blocks * 4096)) --salt="$salt" --uuid="$(fixed_uuid "$salt")" "$(inside "$file")" "$(inside "$file")")
    verity=$blocks,$(sed -n 's/^Root hash:[[:space:]]*//p' <<<"$said"),$salt
    [[ $verity =~ ^[0-9]+,[0-9a-f]{64},[0-9a-f]{64}$ ]] || die "veritysetup said no root hash" "$said"
    (($(stat -c %s "$file") <= root_size * 1048576)) || die "the root does not fit into $root_size MiB"
}

# pack_initrd FOLDER FILE: programs and modules lie there (images/lib/initrd.py); what is ours is added.
pack_initrd() {
    local folder=$1 applet
    install -m 755 "$root/images/initrd/init" "$folder/init"
    install -m 644 "$root/images/initrd/data" "$folder/lib/fieldcam-data"
    # Of busybox, where the root has no program of its own for it.
    for applet in cat chmod chroot cut dd echo find grep insmod kill mkdir mount mv readlink reboot rm sh sha256sum \
        shred sleep switch_root sync tr umount usleep; do
        [[ -e $folder/bin/$applet ]] || ln -s busybox "$folder/bin/$applet"
    done
    find "$folder" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    in_tools bash -c 'cd "$1" && shift && find . -mindepth 1 | LC_ALL=C sort |
        cpio --quiet --reproducible --owner 0:0 -o -H newc | "$@"' pack "$(inside "$folder")" "${compress[@]}" >"$2"
}

# slot_arguments CONSOLE [MORE]: the kernel's command line of a slot. With `gpt` it takes the partition table's second copy
# when the first is torn. Huge pages cost the daemon 40 MiB of a small box.
slot_arguments() {
    printf '%s' "console=tty0 console=$1,115200 panic=10 gpt systemd.gpt_auto=0 loglevel=4 transparent_hugepage=never" \
        " fieldcam.verity=$verity${2:+ $2}"
}

# make_boot FILE KERNEL INITRD ARGUMENTS: the slot's boot partition: kernel, initrd, and slot.env, which says how they are
# started.
make_boot() {
    local folder=$scratch/boot kernel_crc initrd_crc
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$2" "$folder/vmlinuz"
    cp "$3" "$folder/initrd.img"
    kernel_crc=$(crc "$folder/vmlinuz")
    initrd_crc=$(crc "$folder/initrd.img")
    printf '%s\n' "slot_args=$4" "kernel_crc=$kernel_crc" "kernel_crcx=$(swapped "$kernel_crc")" \
        "initrd_crc=$initrd_crc" "initrd_crcx=$(swapped "$initrd_crc")" >"$scratch/slot.txt"
    in_tools mkenvimage -s 4096 -o "$(inside "$folder/slot.env")" "$(inside "$scratch/slot.txt")"
    fat "$1" "$slot_size" FC-SLOT "$folder"
    rm -r "$folder" "$scratch/slot.txt"
}

# u_boot_environment U-BOOT.BIN BYTES FILE NAME=VALUE…: the binary's own environment with changes, as mkenvimage writes it.
u_boot_environment() {
    local binary=$1 bytes=$2 file=$3
    shift 3
    python3 "$root/images/lib/environment.py" "$binary" "$@" >"$scratch/environment.txt"
    in_tools mkenvimage -s "$bytes" -o "$(inside "$file")" "$(inside "$scratch/environment.txt")"
}

# make_selection FILE FOLDER: the first partition: what the firmware reads, which lies in the folder, and the boot script.
make_selection() {
    cp "$root/images/boot/ab.cmd" "$scratch/ab.cmd"
    in_tools env SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" mkimage -A arm64 -T script -C none -n fieldcam \
        -d "$(inside "$scratch/ab.cmd")" "$(inside "$2/boot.scr")" >/dev/null
    rm "$scratch/ab.cmd"
    fat "$1" "$boot_size" FIELDCAM "$2"
}

# place FILE IMAGE MIB: a partition's content at its place.
place() {
    dd if="$1" of="$2" bs=1M seek="$3" conv=notrunc,sparse status=none
}

# make_disk FILE SELECTION BOOT ROOTFS: and adds to `facts` where each partition lies, in sectors of 512 bytes.
make_disk() {
    local disk=$1 part at=4 size type attributes script=$scratch/table
    local -A begins=()
    # Microsoft basic data for FAT, as the Raspberry Pi's loader wants it; Linux data for the rest.
    local fat=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7 linux=0FC63DAF-8483-4772-8E79-3D69D8477DE4
    printf 'label: gpt\nlabel-id: %s\nunit: sectors\n' "$(fixed_uuid "$board.disk")" >"$script"
    for part in boot:$boot_size:$fat bootstate:$state_size:$linux boot_a:$slot_size:$fat boot_b:$slot_size:$fat \
        root_a:$root_size:$linux root_b:$root_size:$linux data:$data_size:$linux; do
        IFS=: read -r part size type <<<"$part"
        attributes=
        [[ $part != boot ]] || attributes=', attrs="LegacyBIOSBootable"'
        printf 'start=%d, size=%d, type=%s, uuid=%s, name="%s"%s\n' $((at * 2048)) $((size * 2048)) "$type" \
            "$(fixed_uuid "$board.$part")" "$part" "$attributes" >>"$script"
        begins[$part]=$at
        printf 'partition %s %d %d\n' "$part" $((at * 2048)) $((size * 2048)) >>"$facts"
        at=$((at + size))
    done
    rm -f "$disk"
    truncate -s $((at + 4))M "$disk"
    in_tools bash -c 'sfdisk -q "$1" <"$2"' sfdisk "$(inside "$disk")" "$(inside "$script")"
    place "$2" "$disk" "${begins[boot]}"
    place "$3" "$disk" "${begins[boot_a]}"
    place "$4" "$disk" "${begins[root_a]}"
}

# make_bundle FILE COMPATIBLE VERSION BOOT ROOTFS SYSTEM.CONF CA CERT KEY: the signed update bundle. Which purpose a signer's
# certificate must have stands in the box's own configuration.
make_bundle() {
    local file=$1 folder=$scratch/bundle
    rm -rf "$folder" "$file"
    mkdir -p "$folder"
    ln "$4" "$folder/boot.img" 2>/dev/null || cp "$4" "$folder/boot.img"
    ln "$5" "$folder/root.img" 2>/dev/null || cp "$5" "$folder/root.img"
    cat >"$folder/manifest.raucm" <<MANIFEST
[update]
compatible=$2
version=$3

[bundle]
format=verity

[image.rootfs]
filename=root.img
adaptive=block-hash-index

[image.boot]
filename=boot.img
MANIFEST
    sed "s|^path=.*|path=$(inside "$7")|" "$6" >"$scratch/system.conf"
    in_tools rauc --conf="$(inside "$scratch/system.conf")" bundle --cert="$(inside "$8")" --key="$(inside "$9")" \
        --signing-keyring="$(inside "$7")" "$(inside "$folder")" "$(inside "$file")" >"$scratch/bundle.log" 2>&1 ||
        die "the bundle could not be signed" "$(tail -n 5 "$scratch/bundle.log")"
    rm -r "$folder" "$scratch/system.conf"
}
