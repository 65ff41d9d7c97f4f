# Images of a slot, by the same script as Buildroot's (images/lib/slot):
#   slotroot    squashfs with its verity tree
#   slotboot    FAT with kernel, initrd and slot.env, for boards that U-Boot starts
#   slotkernel  Android boot image, for Jetson's kernel partitions
#   selection   FAT that the board's firmware reads, with the boot script
IMAGE_TYPES += "slotroot slotboot slotkernel selection"

FIELDCAM_SLOT = "${WORKDIR}/slot"
FIELDCAM_BOOT_MODULES ?= ""
FIELDCAM_INITRD_BOARD ?= ""

# nooelint: oelint.vars.specific,oelint.vars.mispell - named by image types
IMAGE_TYPEDEP:slotroot = "squashfs-zst"
IMAGE_CMD:slotroot () {
    rm -rf ${FIELDCAM_SLOT}
    modules=""
    for module in ${FIELDCAM_BOOT_MODULES} ${FIELDCAM_WATCHDOG_MODULE}; do
        modules="$modules --module $module"
    done
    FIELDCAM_INITRD_BOARD="${FIELDCAM_INITRD_BOARD}" ${FIELDCAM_CHECKOUT}/images/lib/slot --tree ${IMAGE_ROOTFS} \
        --squashfs ${IMGDEPLOYDIR}/${IMAGE_NAME}.squashfs-zst --kernel ${DEPLOY_DIR_IMAGE}/${KERNEL_IMAGETYPE} \
        --out ${FIELDCAM_SLOT} --console ${FIELDCAM_CONSOLE} $modules
    install -m 0644 ${FIELDCAM_SLOT}/root.img ${IMGDEPLOYDIR}/${IMAGE_NAME}.slotroot
}
do_image_slotroot[depends] += " \
    cryptsetup-native:do_populate_sysroot \
    dosfstools-native:do_populate_sysroot \
    mtools-native:do_populate_sysroot \
    u-boot-tools-native:do_populate_sysroot \
    virtual/kernel:do_deploy \
"
do_image_slotroot[file-checksums] += " \
    ${FIELDCAM_CHECKOUT}/images/initrd/data:True \
    ${FIELDCAM_CHECKOUT}/images/initrd/init:True \
    ${FIELDCAM_CHECKOUT}/images/lib/disk.sh:True \
    ${FIELDCAM_CHECKOUT}/images/lib/here.sh:True \
    ${FIELDCAM_CHECKOUT}/images/lib/initrd.py:True \
    ${FIELDCAM_CHECKOUT}/images/lib/root.sh:True \
    ${FIELDCAM_CHECKOUT}/images/lib/slot:True \
"

# nooelint: oelint.vars.specific,oelint.vars.mispell - named by image types
IMAGE_TYPEDEP:slotboot = "slotroot"
IMAGE_CMD:slotboot () {
    install -m 0644 ${FIELDCAM_SLOT}/boot.img ${IMGDEPLOYDIR}/${IMAGE_NAME}.slotboot
}

# nooelint: oelint.vars.specific,oelint.vars.mispell - named by image types
IMAGE_TYPEDEP:slotkernel = "slotroot"
IMAGE_CMD:slotkernel () {
    ${STAGING_BINDIR_NATIVE}/tegra-flash/mkbootimg --kernel ${DEPLOY_DIR_IMAGE}/${KERNEL_IMAGETYPE} \
        --ramdisk ${FIELDCAM_SLOT}/initrd.img --cmdline "${KERNEL_ARGS} $(cat ${FIELDCAM_SLOT}/arguments)" \
        --output ${IMGDEPLOYDIR}/${IMAGE_NAME}.slotkernel
}
do_image_slotkernel[depends] += "${@'tegra-flashtools-native:do_populate_sysroot' if 'tegra' in d.getVar('OVERRIDES').split(':') else ''}"
# Flashed as they are.
# nooelint: oelint.vars.specific,oelint.vars.mispell,oelint.vars.overrideappend - named by image types
IMAGE_TYPEDEP:tegraflash:append = " slotkernel"
# nooelint: oelint.vars.specific,oelint.vars.mispell,oelint.vars.overrideappend - named by image types
IMAGE_TYPEDEP:tegraflash-tar:append = " slotkernel"

IMAGE_CMD:selection () {
    ${FIELDCAM_CHECKOUT}/images/lib/selection --from ${DEPLOY_DIR_IMAGE} --out ${IMGDEPLOYDIR}/${IMAGE_NAME}.selection \
        ${@' '.join("'%s'" % entry for entry in d.getVar('FIELDCAM_SELECTION_FILES').split())}
}
FIELDCAM_SELECTION_FILES ?= ""
FIELDCAM_SELECTION_DEPENDS ?= ""
do_image_selection[depends] += " \
    ${FIELDCAM_SELECTION_DEPENDS} \
    dosfstools-native:do_populate_sysroot \
    mtools-native:do_populate_sysroot \
    u-boot-tools-native:do_populate_sysroot \
"
do_image_selection[file-checksums] += " \
    ${FIELDCAM_CHECKOUT}/images/boot/ab.cmd:True \
    ${FIELDCAM_CHECKOUT}/images/lib/disk.sh:True \
    ${FIELDCAM_CHECKOUT}/images/lib/here.sh:True \
    ${FIELDCAM_CHECKOUT}/images/lib/selection:True \
"

# nooelint: oelint.vars.specific,oelint.vars.mispell,oelint.vars.overrideappend - named by image types
IMAGE_TYPEDEP:wic:append = " slotboot selection"
