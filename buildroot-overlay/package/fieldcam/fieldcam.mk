################################################################################
#
# fieldcam
#
################################################################################

FIELDCAM_VERSION = 0.1.0
FIELDCAM_SITE = https://fieldcam.example/releases/v$(FIELDCAM_VERSION)
FIELDCAM_LICENSE = Apache-2.0
FIELDCAM_LICENSE_FILES = LICENSE
# The archive is made by scripts/source-archive and has its crates in VENDOR/.
# host-clang: bindgen, which the crate v4l reads the kernel's header with.
FIELDCAM_DEPENDENCIES = host-clang host-pkgconf udev
FIELDCAM_CARGO_ENV = \
	PKG_CONFIG_ALLOW_CROSS=1 \
	LIBCLANG_PATH="$(HOST_DIR)/lib" \
	BINDGEN_EXTRA_CLANG_ARGS="--target=$(GNU_TARGET_NAME) --sysroot=$(STAGING_DIR)"
FIELDCAM_CARGO_INSTALL_OPTS = --no-track

# The units are in images/common of the repository, which the defconfigs name
# as an overlay: one copy for every build. Here is only where they belong.
define FIELDCAM_INSTALL_INIT_SYSTEMD
	$(INSTALL) -d -m 0755 $(TARGET_DIR)/usr/lib/systemd/system
endef

define FIELDCAM_USERS
	fieldcam 900 fieldcam 900 * /data/fieldcam /usr/sbin/nologin video Fieldcam camera service
endef

$(eval $(cargo-package))
