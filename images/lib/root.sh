# shellcheck shell=bash
# What images/build and the other parts set, and what the tools tree expands.
# shellcheck disable=SC2154,SC2016,SC2034
# The root of a box: Debian's packages, what all builds share, our programs; as a squashfs with its verity tree behind it.

# What every board has of Debian.
root_packages=(systemd systemd-sysv systemd-resolved systemd-timesyncd libnss-systemd libnss-resolve dbus udev kmod rauc rauc-service
    e2fsprogs dmsetup libubootenv-tool nftables systemd-zram-generator ca-certificates busybox-static fdisk util-linux
    libx264-164 netbase iwd wireless-regdb)
# Loaded in the initrd by every board, and the programs there.
common_boot_modules=(dm-verity squashfs overlay ext4 vfat nls_cp437 nls_iso8859-1)
initrd_programs=(usr/bin/busybox usr/sbin/dmsetup usr/sbin/e2fsck usr/sbin/mke2fs usr/sbin/resize2fs usr/sbin/sfdisk
    usr/bin/partx usr/bin/shred usr/sbin/blkdiscard usr/sbin/blkid)
# Modules that stay in the root (regular expressions below kernel/): cameras, USB, what cables and firewalls need.
common_modules=('drivers/media/(usb/uvc|test-drivers/vivid|common|v4l2-core|mc|usb/(em28xx|stk1160|gspca|usbtv))'
    'drivers/(usb/(core|host|storage|serial|class|gadget|common)|hid/(hid|usbhid)|md/dm-(mod|verity|bufio)|block/(zram|loop|nbd))'
    'drivers/net/(usb|phy|mii|veth|dummy|tun)' 'fs/(ext4|squashfs|overlayfs|nls|fat|exfat|fuse|isofs|pstore)' 'net/(netfilter|ipv4|ipv6|core|sched|packet|unix|mac80211|wireless|rfkill|8021q|bridge|llc)'
    'drivers/input/(evdev|keyboard/gpio_keys\.)' 'crypto/' 'arch/arm64/crypto' 'lib/' 'mm/' 'drivers/(nvmem|rtc|thermal|i2c/i2c|char/hw_random|watchdog/softdog)')

# What Debian's kernel lacks of images/kernel, and is there in another way or not at all (images/kernel/README.md).
kernel_lacks=(DEVTMPFS_MOUNT PANIC_ON_OOPS PANIC_TIMEOUT PSTORE_CONSOLE VIDEO_CODEC_BCM2835)

# check_kernel CONFIG: the kernel's options are those that the other builds merge into theirs; a module will do.
check_kernel() {
    local option value said missing=''
    while IFS='=' read -r option value; do
        said=$(sed -n "s/^$option=//p" "$1")
        case ${said:-n} in "$value" | y | m) continue ;; esac
        [[ " ${kernel_lacks[*]} " == *" ${option#CONFIG_} "* ]] || missing+=" $option=$value"
    done < <(cat "$root"/images/kernel/*.cfg "$root/images/kernel/boards/$board.cfg" | grep '^CONFIG_')
    [[ -z $missing ]] || die "Debian's kernel $release has not what images/kernel asks for:$missing"
}

# copy_tree FROM TO
copy_tree() {
    rm -rf "$2"
    cp -a --reflink=auto "$1" "$2"
}

# make_packages: the unpacked packages of the board, set up; sets `packages` to the folder, `release` to the kernel's,
# `boot_tree` to what stands before the kernel.
make_packages() {
    local like system key
    local said
    local -a essential all=("${root_packages[@]}" "${board_packages[@]}")
    tree root-amd64 amd64 essential "${root_packages[@]}"
    like=$made
    # What `essential` brings by itself.
    mapfile -t essential < <(chroot "$like" dpkg-query -W -f '${Essential} ${Package}\n' | sed -n 's/^yes //p')
    tree "root-$board" arm64 extract "${all[@]}" "${essential[@]}"
    system=$made
    system_tree=$made
    tree kernel arm64 extract "$kernel_package"
    kernel_tree=$made
    # The board's firmware and U-Boot.
    tree "boot-$board" arm64 extract "${boot_packages[@]}"
    boot_tree=$made
    release=$(ls "$kernel_tree/usr/lib/modules")
    vmlinuz=$(find "$kernel_tree" -name 'vmlinuz*' -type f | head -n1)
    [[ -n $vmlinuz ]] || die "the kernel package has no vmlinuz"
    check_kernel "$kernel_tree/usr/lib/modules/$release/config"
    key=$(cat "$root/images/lib/set_up.py" "$root/images/lib/modules.py" <(printf '%s\n' "${like##*/}" "${system##*/}" "${kernel_tree##*/}" \
        "${common_modules[@]}" "${board_modules[@]}" "${common_boot_modules[@]}" "${boot_modules[@]}") | sha256sum | cut -c1-12)
    packages=$work/trees/packages-$board-$key
    like_tree=$like
    [[ ! -d $packages || ! -f $packages.aliases ]] || return 0
    rm -rf "$work/trees/packages-$board"-*
    copy_tree "$system" "$packages.new"
    said=$(python3 "$root/images/lib/set_up.py" "$like" "$packages.new" x86_64-linux-gnu aarch64-linux-gnu)
    say "setting it up: $said"
    rm -rf "$packages.new/usr/lib/modules"
    mkdir -p "$packages.new/usr/lib/modules"
    cp -a "$kernel_tree/usr/lib/modules/$release" "$packages.new/usr/lib/modules/"
    rm -f "$packages.new/usr/lib/modules/$release"/{build,source,vmlinuz,System.map,config}
    in_tools depmod -b "$(inside "$packages.new")" "$release"
    # Of all of the kernel's modules: which one drives what a device tree names.
    cp "$packages.new/usr/lib/modules/$release/modules.alias" "$packages.aliases"
    local -a kept=("${common_modules[@]}" "${board_modules[@]}")
    local module
    for module in "${common_boot_modules[@]}" "${boot_modules[@]}" "$watchdog_module"; do
        kept+=(".*/${module//[-_]/[-_]}\\.ko")
    done
    said=$(python3 "$root/images/lib/modules.py" "$packages.new/usr/lib/modules/$release" "${kept[@]}")
    say "kernel $release: $said"
    in_tools depmod -b "$(inside "$packages.new")" "$release"
    mv "$packages.new" "$packages"
}

# Debian's own that a box does not need: the package manager, what only scripts of packages read, other languages.
prune() {
    local tree=$1
    rm -rf "${tree:?}"/{boot,media,mnt,opt,srv,home,root} \
        "${tree:?}"/var/{lib/apt,lib/dpkg,cache,log,backups,mail,spool,local,opt} \
        "${tree:?}"/etc/{apt,dpkg,cron.daily,cron.weekly,cron.d,init.d,default,logrotate.d,hostname,machine-id,resolv.conf,kernel} \
        "${tree:?}"/usr/bin/{apt*,dpkg*,perl*} "${tree:?}"/usr/lib/{apt,dpkg} "${tree:?}"/usr/lib/*/perl* \
        "${tree:?}"/usr/share/{doc,man,info,locale,perl*,lintian,bug,bash-completion,zsh,debconf,dpkg,keyrings} \
        "${tree:?}"/usr/share/{initramfs-tools,menu,pixmaps,applications,doc-base} "${tree:?}"/usr/{games,local,src,include}
    mkdir -p "$1"/{boot,mnt,data,root,home} "$1"/var/{cache,log,lib,spool,tmp} "$1/etc/rauc"
    # Where programs look that do not know /run: the D-Bus client of the daemon among them.
    rm -rf "$1"/var/run "$1"/var/lock
    ln -s /run "$1/var/run"
    ln -s /run/lock "$1/var/lock"
    chmod 1777 "$1/var/tmp"
    chmod 0700 "$1/root"
}

# make_root VERSION FOLDER: the root as a folder.
make_root() {
    local version=$1 folder=$2
    copy_tree "$packages" "$folder"
    prune "$folder"
    cp -a --no-preserve=ownership "$root/images/common/." "$folder/"
    [[ ! -d $root/images/boards/$board ]] || cp -a --no-preserve=ownership "$root/images/boards/$board/." "$folder/"
    [[ -z $developer ]] || make_developer "$folder"
    install -m 755 "$fieldcam" "$folder/usr/bin/fieldcam"
    install -m 755 "$mediamtx" "$folder/usr/bin/mediamtx"
    install -m 755 "$ffmpeg" "$folder/usr/bin/ffmpeg"
    sed "s/@COMPATIBLE@/fieldcam-$board/" "$root/images/rauc/system.conf.in" >"$folder/etc/rauc/system.conf"
    cp "$keys/ca.pem" "$folder/etc/rauc/ca.pem"
    mkdir -p "$folder/usr/lib/modules-load.d"
    printf '%s\n' "$watchdog_module" >"$folder/usr/lib/modules-load.d/fieldcam-watchdog.conf"
    # What units want to know of the board.
    printf 'RESET_KEY=%s\n' "$reset_key" >"$folder/usr/lib/fieldcam/board"
    {
        printf 'NAME=Fieldcam\nID=fieldcam\nID_LIKE=debian\nPRETTY_NAME="Fieldcam %s"\nVERSION_ID=%s\n' "$version" "$version"
        printf 'IMAGE_ID=fieldcam\nIMAGE_VERSION=%s\nVARIANT_ID=%s\n' "$version" "$board"
    } >"$folder/usr/lib/os-release"
    ln -sfn ../usr/lib/os-release "$folder/etc/os-release"
    ln -sfn ../run/systemd/resolve/stub-resolv.conf "$folder/etc/resolv.conf"
    # The clock of a box without one never stands before this; timesyncd looks at the file's time too.
    touch -d "@$SOURCE_DATE_EPOCH" "$folder/usr/lib/clock-epoch"
    in_tools systemd-sysusers --root="$(inside "$folder")"
    in_tools systemctl --root="$(inside "$folder")" preset-all 2>/dev/null
    rm -f "$folder"/etc/{passwd-,group-,shadow-,gshadow-,.pwd.lock,subuid*,subgid*}
}

# make_squashfs FOLDER FILE: a squashfs with its verity tree; sets `verity` to BLOCKS,HASH,SALT.
make_squashfs() {
    local folder=$1 file=$2
    rm -f "$file"
    in_tools env -u SOURCE_DATE_EPOCH mksquashfs "$(inside "$folder")" "$(inside "$file")" -comp zstd -Xcompression-level 19 -b 256K \
        -mkfs-time "$SOURCE_DATE_EPOCH" -all-time "$SOURCE_DATE_EPOCH" -no-xattrs -quiet -no-progress -no-exports >&2
    make_verity "$file"
}

# make_initrd FILE: what a board needs before there is a root.
make_initrd() {
    local folder=$scratch/initrd
    rm -rf "$folder"
    mkdir -p "$folder"
    python3 "$root/images/lib/initrd.py" "$packages" "$release" "$folder" \
        "${common_boot_modules[@]}" "${boot_modules[@]}" "$watchdog_module" -- "${initrd_programs[@]}"
    pack_initrd "$folder" "$1"
}
