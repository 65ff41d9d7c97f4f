# A bundle has no source and no version in its name.
# nooelint: oelint.file.underscores,oelint.var.mandatoryvar.SRC_URI
SUMMARY = "Signed update of a Fieldcam box"
DESCRIPTION = "RAUC bundle of both images of a slot, in the verity format."
HOMEPAGE = "https://fieldcam.example"
SECTION = "base"
LICENSE = "Apache-2.0"
# nooelint: oelint.var.licenseremotefile - no source of its own
LIC_FILES_CHKSUM = "file://${FIELDCAM_CHECKOUT}/LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

inherit bundle

RAUC_BUNDLE_COMPATIBLE = "fieldcam-${FIELDCAM_VARIANT}"
RAUC_BUNDLE_VERSION = "${DISTRO_VERSION}"
RAUC_BUNDLE_FORMAT = "verity"
RAUC_BUNDLE_SLOTS = "${FIELDCAM_BUNDLE_SLOTS}"
# Parsed by every distribution, meant for one.
FIELDCAM_BUNDLE_SLOTS ??= ""
FIELDCAM_VARIANT ??= "${MACHINE}"

RAUC_SLOT_rootfs = "fieldcam-image"
RAUC_SLOT_rootfs[fstype] = "slotroot"
RAUC_SLOT_rootfs[rename] = "root.img"
RAUC_SLOT_rootfs[adaptive] = "block-hash-index"

RAUC_SLOT_boot = "fieldcam-image"
RAUC_SLOT_boot[fstype] = "slotboot"
RAUC_SLOT_boot[rename] = "boot.img"

RAUC_SLOT_kernel = "fieldcam-image"
RAUC_SLOT_kernel[fstype] = "slotkernel"
RAUC_SLOT_kernel[rename] = "kernel.img"

# PEM files outside of the layer, named in local.conf or by kas from FIELDCAM_SIGNING_KEY and FIELDCAM_SIGNING_CERT.
RAUC_KEY_FILE ?= ""
RAUC_CERT_FILE ?= ""
