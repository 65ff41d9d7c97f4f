# shellcheck shell=bash
# What images/build and the other parts set, and what the tools tree expands.
# shellcheck disable=SC2154,SC2016
# What is made of a root: the slot's boot partition, the signed bundle, the disk image. Sizes in MiB.

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
        done' fat "/work${file#"$work"}" "$label" "$(printf %s "$label" | cksum | awk '{ printf "%08x", $1 }')" "/work${folder#"$work"}"
}

crc() {
    python3 -c 'import sys, zlib; print("%08x" % zlib.crc32(open(sys.argv[1], "rb").read()))' "$1"
}

swapped() {
    printf '%s' "${1:6:2}${1:4:2}${1:2:2}${1:0:2}"
}

# make_initrd FILE
make_initrd() {
    local folder=$work/$board/initrd
    rm -rf "$folder"
    mkdir -p "$folder"
    python3 "$root/images/lib/initrd.py" "$packages" "$release" "$folder" \
        "${common_boot_modules[@]}" "${boot_modules[@]}" -- "${initrd_programs[@]}"
    install -m 755 "$root/images/initrd/init" "$folder/init"
    install -m 644 "$root/images/initrd/data" "$folder/lib/fieldcam-data"
    # Of busybox, where the tree has no program of its own for it.
    local applet
    for applet in sh mount umount mkdir cat grep readlink usleep sleep sync reboot insmod tr cp mv rm sha256sum cut wc head \
        dd find switch_root ls cmp echo; do
        [[ -e $folder/bin/$applet ]] || ln -s busybox "$folder/bin/$applet"
    done
    find "$folder" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    in_tools bash -c 'cd "$1" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet --reproducible --owner 0:0 -o -H newc | zstd -q -19 -T2' \
        initrd "/work${folder#"$work"}" >"$1"
}

# make_boot FILE: the slot's boot partition: kernel, initrd, and slot.env, which says how they are started.
make_boot() {
    local folder=$work/$board/boot arguments kernel_crc initrd_crc
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$vmlinuz" "$folder/vmlinuz"
    make_initrd "$folder/initrd.img"
    kernel_crc=$(crc "$folder/vmlinuz")
    initrd_crc=$(crc "$folder/initrd.img")
    arguments="console=tty0 console=$console,115200 panic=10 systemd.gpt_auto=0 loglevel=4 reserve_mem=2M:2M:oops"
    arguments+=" ramoops.mem_name=oops ramoops.record_size=262144 ramoops.console_size=262144"
    arguments+=" fieldcam.verity=$verity${kernel_arguments:+ $kernel_arguments}"
    printf '%s\n' "slot_args=$arguments" "kernel_crc=$kernel_crc" "kernel_crcx=$(swapped "$kernel_crc")" \
        "initrd_crc=$initrd_crc" "initrd_crcx=$(swapped "$initrd_crc")" >"$work/$board/slot.txt"
    in_tools mkenvimage -s 4096 -o "/work/$board/boot/slot.env" "/work/$board/slot.txt"
    fat "$1" "$slot_size" FC-SLOT "$folder"
}

# u_boot_environment U-BOOT.BIN BYTES FILE NAME=VALUE…: the binary's own environment with changes, as mkenvimage writes it. The
# file lies in the board's work folder.
u_boot_environment() {
    local binary=$1 bytes=$2 file=$3
    shift 3
    python3 "$root/images/lib/environment.py" "$binary" "$@" >"$work/$board/environment.txt"
    in_tools mkenvimage -s "$bytes" -o "/work${file#"$work"}" "/work/$board/environment.txt"
}

# make_selection FILE: the first partition: what the firmware reads, and the boot script.
make_selection() {
    local folder=$work/$board/selection
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$root/images/boot/ab.cmd" "$work/$board/ab.cmd"
    in_tools env SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" mkimage -A arm64 -T script -C none -n fieldcam \
        -d "/work/$board/ab.cmd" "/work/$board/selection/boot.scr" >/dev/null
    [[ $(type -t "boot_files_$board") != function ]] || "boot_files_$board" "$folder"
    fat "$1" "$boot_size" FIELDCAM "$folder"
}

# place FILE IMAGE MIB: a partition's content at its place.
place() {
    dd if="$1" of="$2" bs=1M seek="$3" conv=notrunc,sparse status=none
}

# make_disk FILE BOOT ROOTFS: and adds to `facts` where each partition lies, in sectors of 512 bytes.
make_disk() {
    local disk=$1 boot=$2 rootfs=$3 part at=4 size type attributes script=$work/$board/table
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
    in_tools bash -c 'sfdisk -q "$1" <"$2"' sfdisk "/work${disk#"$work"}" "/work${script#"$work"}"
    make_selection "$work/$board/selection.img"
    place "$work/$board/selection.img" "$disk" "${begins[boot]}"
    place "$boot" "$disk" "${begins[boot_a]}"
    place "$rootfs" "$disk" "${begins[root_a]}"
}

# make_bundle VERSION FILE BOOT ROOTFS
make_bundle() {
    local folder=$work/$board/bundle
    rm -rf "$folder" "$2"
    mkdir -p "$folder"
    ln "$3" "$folder/boot.img"
    ln "$4" "$folder/root.img"
    cat >"$folder/manifest.raucm" <<MANIFEST
[update]
compatible=fieldcam-$board
version=$1

[bundle]
format=verity

[image.rootfs]
filename=root.img
adaptive=block-hash-index

[image.boot]
filename=boot.img
MANIFEST
    # Which purpose a signer's certificate must have stands in the box's own configuration.
    sed "s|^path=.*|path=/work/keys/ca.pem|" "$work/$board/root/etc/rauc/system.conf" >"$work/$board/system.conf"
    in_tools rauc --conf="/work/$board/system.conf" bundle --cert="/work/keys/signer.pem" --key="/work/keys/signer.key" \
        --signing-keyring="/work/keys/ca.pem" "/work/$board/bundle" "/work${2#"$work"}" >"$work/bundle.log" 2>&1 ||
        die "the bundle could not be signed" "$(tail -n 5 "$work/bundle.log")"
}
