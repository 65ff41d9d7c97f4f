SUMMARY = "The system of a Fieldcam box"
DESCRIPTION = "Read-only verified root with the daemon, MediaMTX, FFmpeg and RAUC, as slot images for the bundle and as an image to flash."
HOMEPAGE = "https://fieldcam.example"
SECTION = "base"
LICENSE = "Apache-2.0"
# nooelint: oelint.var.licenseremotefile - no source of its own
LIC_FILES_CHKSUM = "file://${FIELDCAM_CHECKOUT}/LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

IMAGE_FEATURES = "read-only-rootfs"
IMAGE_LINGUAS = ""

inherit core-image fieldcam_slot

IMAGE_INSTALL = " \
    packagegroup-core-boot \
    ca-certificates \
    coreutils \
    e2fsprogs-e2fsck \
    e2fsprogs-mke2fs \
    e2fsprogs-resize2fs \
    fieldcam \
    iwd \
    kernel-modules \
    kmod \
    libdevmapper \
    os-release \
    rauc \
    util-linux-blkdiscard \
    util-linux-blkid \
    util-linux-partx \
    util-linux-sfdisk \
    wireless-regdb-static \
    ${@bb.utils.contains('BBFILE_COLLECTIONS', 'networking-layer', 'nftables', '', d)} \
    ${FIELDCAM_BOARD_INSTALL} \
"
# A slot is called good by the box, when its cameras are back, and not by RAUC at every start.
BAD_RECOMMENDATIONS += "rauc-mark-good"

# Parsed by every distribution, meant for one.
FIELDCAM_BOARD_INSTALL ??= ""
FIELDCAM_VARIANT ??= "${MACHINE}"
FIELDCAM_WATCHDOG_MODULE ??= ""

python fieldcam_wants_firewall () {
    if 'networking-layer' not in d.getVar('BBFILE_COLLECTIONS').split():
        bb.fatal('a box without a firewall is not made: add meta-networking (the kas files do)')
}
do_rootfs[prefuncs] += "fieldcam_wants_firewall"

# What each builder says of itself, and what a box makes of its own at its first start.
fieldcam_identity () {
    sed -i -e '/^IMAGE_ID=/d' -e '/^IMAGE_VERSION=/d' -e '/^VARIANT_ID=/d' -e '/^ID=/d' \
        ${IMAGE_ROOTFS}${nonarch_libdir}/os-release
    printf 'ID=fieldcam\nIMAGE_ID=fieldcam\nIMAGE_VERSION=%s\nVARIANT_ID=%s\n' \
        "${DISTRO_VERSION}" "${FIELDCAM_VARIANT}" >>${IMAGE_ROOTFS}${nonarch_libdir}/os-release
    rm -f ${IMAGE_ROOTFS}${sysconfdir}/hostname ${IMAGE_ROOTFS}${sysconfdir}/machine-id
    # Everything is mounted by the initrd.
    : >${IMAGE_ROOTFS}${sysconfdir}/fstab
    ln -sfn ../run/systemd/resolve/stub-resolv.conf ${IMAGE_ROOTFS}${sysconfdir}/resolv.conf
    # NVIDIA's service would call every start of a slot a good one, before the cameras are back. A mask in a package would
    # break the installation of NVIDIA's.
    rm -f ${IMAGE_ROOTFS}${sysconfdir}/systemd/system/*/nv_update_verifier.service
    if [ -n "${FIELDCAM_WATCHDOG_MODULE}" ]; then
        install -d ${IMAGE_ROOTFS}${nonarch_libdir}/modules-load.d
        echo "${FIELDCAM_WATCHDOG_MODULE}" >${IMAGE_ROOTFS}${nonarch_libdir}/modules-load.d/fieldcam-watchdog.conf
    fi
}
ROOTFS_POSTPROCESS_COMMAND:append = " fieldcam_identity"
