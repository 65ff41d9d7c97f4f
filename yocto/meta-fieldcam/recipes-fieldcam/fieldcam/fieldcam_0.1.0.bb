SUMMARY = "Firmware daemon for edge camera boxes"
DESCRIPTION = "Records USB, network and synthetic cameras, streams them, and answers JSON-RPC over WebSocket. Supervises MediaMTX and FFmpeg."
HOMEPAGE = "https://fieldcam.example"
SECTION = "multimedia"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# bindgen, which the crate v4l reads the kernel's header with; libudev.
DEPENDS = "clang-native udev"

# The checkout that this layer is a part of, so that both are of one version; crates by the hashes of Cargo.lock.
# nooelint: oelint.vars.fileextrapaths,oelint.vars.outofcontext - the layer is a part of the repository it builds
FILESEXTRAPATHS:prepend := "${FIELDCAM_CHECKOUT}:"
require fieldcam-crates.inc
SRC_URI += "\
    file://Cargo.toml;subdir=${BP} \
    file://Cargo.lock;subdir=${BP} \
    file://LICENSE;subdir=${BP} \
    file://build.rs;subdir=${BP} \
    file://src;subdir=${BP} \
    file://tests/fuzz/fuzzer.rs;subdir=${BP} \
    file://docs/api/openrpc.json;subdir=${BP} \
    file://images/common/usr/lib/systemd/system;subdir=${BP} \
"

inherit cargo cargo-update-recipe-crates pkgconfig systemd useradd

export LIBCLANG_PATH = "${STAGING_LIBDIR_NATIVE}"
export BINDGEN_EXTRA_CLANG_ARGS = "--target=${TARGET_SYS} --sysroot=${STAGING_DIR_TARGET}"

# The units of images/common: the daemon's, and those that look after the box for it.
def fieldcam_units(d):
    folder = os.path.join(d.getVar('FIELDCAM_CHECKOUT'), 'images/common/usr/lib/systemd/system')
    units = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, encoding='utf-8') as unit:
                if '[Install]' in unit.read():
                    units.append(name)
    return ' '.join(units)

SYSTEMD_SERVICE:${PN} = "${@fieldcam_units(d)}"

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system --gid 900 fieldcam"
USERADD_PARAM:${PN} = "--system --uid 900 --gid fieldcam --groups video --home-dir /data/fieldcam --no-create-home --shell ${sbindir}/nologin fieldcam"

do_install:append () {
    install -d ${D}${systemd_system_unitdir}
    cp -R --no-dereference --preserve=mode,links ${S}/images/common/usr/lib/systemd/system/. ${D}${systemd_system_unitdir}/
}

FILES:${PN} += "${systemd_system_unitdir}"

RDEPENDS:${PN} = "ffmpeg fieldcam-common mediamtx-bin"
# Needs what mediamtx-bin needs.
COMPATIBLE_HOST = "aarch64.*-linux"
