# Starts the boot script and nothing else: no wait, no prompt, no environment in storage.
FILESEXTRAPATHS:prepend:fieldcam := "${FIELDCAM_CHECKOUT}/images/boot:"
SRC_URI:append:fieldcam = " ${@'file://uboot.cfg file://uboot-%s.cfg' % d.getVar('FIELDCAM_UBOOT_CONFIG') if d.getVar('FIELDCAM_UBOOT_CONFIG') else ''}"
