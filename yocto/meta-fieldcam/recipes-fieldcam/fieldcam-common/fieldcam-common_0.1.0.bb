SUMMARY = "What every build of a Fieldcam box has in its root"
DESCRIPTION = "Users, temporary files, sysctls, presets, network, journal and firewall of a box: images/common of the repository as it is, without the units, which are the daemon's; and images/built, for what Debian has packages."
HOMEPAGE = "https://fieldcam.example"
SECTION = "base"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# nooelint: oelint.vars.fileextrapaths,oelint.vars.outofcontext - the layer is a part of the repository it builds
FILESEXTRAPATHS:prepend := "${FIELDCAM_CHECKOUT}/images:${FIELDCAM_CHECKOUT}:"
SRC_URI = " \
    file://LICENSE \
    file://common \
    file://built \
"
S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install () {
    install -d ${D}/data
    cp -R --no-dereference --preserve=mode,links ${S}/common/. ${D}/
    # Of the daemon's package.
    rm -rf ${D}${systemd_system_unitdir}
    cp -R --no-dereference --preserve=mode,links ${S}/built/. ${D}/
}

FILES:${PN} += "/data ${prefix}"

RDEPENDS:${PN} = "kmod util-linux-mkswap util-linux-swaponoff"
