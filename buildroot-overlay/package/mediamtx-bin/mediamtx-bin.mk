################################################################################
#
# mediamtx-bin
#
################################################################################

MEDIAMTX_BIN_VERSION = 1.20.1
MEDIAMTX_BIN_SITE = https://github.com/bluenviron/mediamtx/releases/download/v$(MEDIAMTX_BIN_VERSION)
MEDIAMTX_BIN_SOURCE = mediamtx_v$(MEDIAMTX_BIN_VERSION)_linux_arm64.tar.gz
MEDIAMTX_BIN_STRIP_COMPONENTS = 0
MEDIAMTX_BIN_LICENSE = MIT
MEDIAMTX_BIN_LICENSE_FILES = LICENSE

define MEDIAMTX_BIN_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/mediamtx $(TARGET_DIR)/usr/bin/mediamtx
endef

$(eval $(generic-package))
