# shellcheck shell=bash
# What images/build and the other parts set, and what the tools tree expands.
# shellcheck disable=SC2154,SC2016,SC2034
# Who signs updates. A release names its own with FIELDCAM_SIGNING_KEY, _CERT and FIELDCAM_CA; a developer's build makes a
# chain of its own, once, which no other build trusts.

# make_keys FOLDER
make_keys() {
    keys=$1
    if [[ -n ${FIELDCAM_SIGNING_KEY:-} ]]; then
        mkdir -p "$keys"
        chmod 700 "$keys"
        cp "$FIELDCAM_SIGNING_KEY" "$keys/signer.key"
        cp "${FIELDCAM_SIGNING_CERT:?names the certificate of FIELDCAM_SIGNING_KEY}" "$keys/signer.pem"
        cp "${FIELDCAM_CA:?names the certificate of the authority that the boxes trust}" "$keys/ca.pem"
        return
    fi
    [[ ! -f $keys/signer.pem ]] || return 0
    say "making a chain of keys for updates, for this folder alone"
    mkdir -p "$keys"
    chmod 700 "$keys"
    # Without an end: a box without a clock must still take an update.
    in_tools bash -c 'cd "$1"
        quiet() { "$@" 2>openssl.log || { cat openssl.log >&2; exit 1; }; }
        quiet openssl req -x509 -newkey rsa:3072 -noenc -keyout ca.key -out ca.pem -subj "/O=Fieldcam/CN=Update authority" \
            -not_before 20200101000000Z -not_after 99991231235959Z \
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
        quiet openssl req -new -newkey rsa:3072 -noenc -keyout signer.key -out signer.csr -subj "/O=Fieldcam/CN=Update signer"
        printf "%s\n" basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=codeSigning >signer.ext
        quiet openssl x509 -req -in signer.csr -CA ca.pem -CAkey ca.key -set_serial 1 -out signer.pem -extfile signer.ext \
            -not_before 20200101000000Z -not_after 99991231235959Z' keys "$(inside "$keys")"
}
