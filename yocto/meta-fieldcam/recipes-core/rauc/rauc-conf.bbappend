# The repository's own RAUC configuration, with this board's name in it.
do_install[file-checksums] += "${@'${FIELDCAM_CHECKOUT}/${FIELDCAM_SYSTEM_CONF}:True' if d.getVar('FIELDCAM_SYSTEM_CONF') else ''}"
do_install:fieldcam () {
    grep -q "BEGIN CERTIFICATE" ${UNPACKDIR}/${RAUC_KEYRING_FILE} || \
        bbfatal "who signs updates? set RAUC_KEYRING_FILE to the authority's certificate (kas: FIELDCAM_CA)"
    install -d ${D}${sysconfdir}/rauc
    sed "s/@COMPATIBLE@/fieldcam-${FIELDCAM_VARIANT}/" ${FIELDCAM_CHECKOUT}/${FIELDCAM_SYSTEM_CONF} \
        >${D}${sysconfdir}/rauc/system.conf
    chmod 0644 ${D}${sysconfdir}/rauc/system.conf
    install -m 0644 ${UNPACKDIR}/${RAUC_KEYRING_FILE} ${D}${sysconfdir}/rauc/ca.pem
}
