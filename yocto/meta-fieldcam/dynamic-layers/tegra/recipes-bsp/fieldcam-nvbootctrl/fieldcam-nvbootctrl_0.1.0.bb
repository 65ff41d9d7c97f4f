SUMMARY = "RAUC on the slots of a Jetson"
DESCRIPTION = "RAUC's custom bootloader backend for NVIDIA's redundant slots, and what a box has for U-Boot and a FAT partition where there is neither."
HOMEPAGE = "https://fieldcam.example"
SECTION = "base"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# nooelint: oelint.vars.fileextrapaths,oelint.vars.outofcontext - the layer is a part of the repository it builds
FILESEXTRAPATHS:prepend := "${FIELDCAM_CHECKOUT}:"
SRC_URI = " \
    file://LICENSE \
    file://fw_setenv \
    file://rauc-nvbootctrl \
"
S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"
COMPATIBLE_MACHINE = "(tegra)"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install () {
    install -d ${D}${nonarch_libdir}/fieldcam ${D}${bindir}
    install -m 0755 ${S}/rauc-nvbootctrl ${D}${nonarch_libdir}/fieldcam/rauc-nvbootctrl
    install -m 0755 ${S}/fw_setenv ${D}${bindir}/fw_setenv
    # This layout has no partition that a laptop reads: nobody waits for it. The unit is enabled by nothing, so a mask in a
    # package breaks no installation.
    install -d ${D}${sysconfdir}/systemd/system
    ln -s /dev/null ${D}${sysconfdir}/systemd/system/run-fieldcam-card.mount
}

FILES:${PN} += "${nonarch_libdir}/fieldcam"

RDEPENDS:${PN} = "tegra-redundant-boot-base"
