include $(sort $(wildcard $(BR2_EXTERNAL_FIELDCAM_PATH)/package/*/*.mk))
