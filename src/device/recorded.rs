//! Devices and boards as people's listings tell of them (lsusb, udevadm, v4l2-ctl in public bug reports), and
//! what each node of them is called. Serial numbers of single units are made up, those of whole product lines
//! are not.

use super::tree::{Device, PI4, PI5, Tree, XHCI};

/// What is plugged in where, and what its nodes are called, by their number.
pub(super) struct Recorded {
    pub what: &'static str,
    pub put: fn(&Tree),
    pub told: &'static [&'static str],
}

/// Pictures and their metadata, as uvcvideo makes them.
const UVC: &[(u8, u32, &str)] = &[(0, 0, "UVC"), (0, 1, "UVC")];
const PI3: &str = "/devices/platform/soc/3f980000.usb";
const ORIN: &str = "/devices/platform/bus@0/3610000.usb";

const C920: Device = Device(0x046d, 0x082d, "", "HD Pro Webcam C920", "7A4C2E1F", UVC);
const C270: Device = Device(0x046d, 0x0825, "", "C270 HD WEBCAM", "200901010001", UVC);
const SONIX: Device = Device(0x0c45, 0x6366, "Sonix Technology Co., Ltd.", "Webcam", "Webcam", UVC);

pub(super) const ALL: &[Recorded] = &[
    Recorded {
        what: "Logitech C920 and C922 on a PC: a number for each",
        put: |tree| {
            tree.on("pci", XHCI);
            tree.usb(XHCI, "1-4", &C920);
            tree.usb(XHCI, "1-9", &Device(0x046d, 0x085c, "", "C922 Pro Stream Webcam", "B7D2A4EF", UVC));
        },
        told: &[
            "usb-046d:082d-7A4C2E1F",
            "usb-046d:082d/0.1-7A4C2E1F",
            "usb-046d:085c-B7D2A4EF",
            "usb-046d:085c/0.1-B7D2A4EF",
        ],
    },
    Recorded {
        what: "Logitech C270: the earlier has a number, the later one for all",
        put: |tree| {
            tree.on("pci", XHCI);
            tree.usb(XHCI, "1-3", &Device(0x046d, 0x0825, "", "", "5A2F1B60", UVC));
            tree.usb(XHCI, "1-5", &C270);
        },
        told: &[
            "usb-046d:0825-5A2F1B60",
            "usb-046d:0825/0.1-5A2F1B60",
            "usb-046d:0825@pci-0000:00:14.0-usb-5",
            "usb-046d:0825/0.1@pci-0000:00:14.0-usb-5",
        ],
    },
    Recorded {
        what: "two later C270 at a hub on a Raspberry Pi 4 (VL805 behind PCI, VIA hub)",
        put: |tree| {
            tree.on("platform", "/devices/platform/scb/fd500000.pcie");
            tree.on("pci", PI4);
            tree.usb(PI4, "1-1.2.3", &C270);
            tree.usb(PI4, "1-1.2.4", &C270);
        },
        told: &[
            "usb-046d:0825@pci-0000:01:00.0-usb-1.2.3",
            "usb-046d:0825/0.1@pci-0000:01:00.0-usb-1.2.3",
            "usb-046d:0825@pci-0000:01:00.0-usb-1.2.4",
            "usb-046d:0825/0.1@pci-0000:01:00.0-usb-1.2.4",
        ],
    },
    Recorded {
        what: "Logitech BRIO on a USB 3 bus: colour, metadata, infrared, metadata, one interface",
        put: |tree| {
            tree.on("pci", XHCI);
            const NODES: &[(u8, u32, &str)] =
                &[(0, 0, "BRIO"), (0, 1, "BRIO"), (0, 2, "BRIO"), (0, 3, "BRIO")];
            tree.usb(XHCI, "2-1", &Device(0x046d, 0x085e, "", "Logitech BRIO", "A1B2C3D4", NODES));
        },
        told: &[
            "usb-046d:085e-A1B2C3D4",
            "usb-046d:085e/0.1-A1B2C3D4",
            "usb-046d:085e/0.2-A1B2C3D4",
            "usb-046d:085e/0.3-A1B2C3D4",
        ],
    },
    Recorded {
        what: "a notebook's camera with infrared on an interface of its own, 0001 for a number",
        put: |tree| {
            let controller = "/devices/pci0000:00/0000:00:08.1/0000:03:00.4";
            tree.on("pci", "/devices/pci0000:00/0000:00:08.1");
            tree.on("pci", controller);
            const NODES: &[(u8, u32, &str)] = &[
                (0, 0, "Integrated Camera: Integrated C"),
                (0, 1, "Integrated Camera: Integrated C"),
                (2, 0, "Integrated Camera: Integrated I"),
                (2, 1, "Integrated Camera: Integrated I"),
            ];
            tree.usb(
                controller,
                "1-2",
                &Device(0x04f2, 0xb67c, "Chicony", "Integrated Camera", "0001", NODES),
            );
        },
        told: &[
            "usb-04f2:b67c@pci-0000:03:00.4-usb-2",
            "usb-04f2:b67c/0.1@pci-0000:03:00.4-usb-2",
            "usb-04f2:b67c/2@pci-0000:03:00.4-usb-2",
            "usb-04f2:b67c/2.1@pci-0000:03:00.4-usb-2",
        ],
    },
    Recorded {
        what: "a notebook's camera without a number (13d3:784b)",
        put: |tree| {
            tree.on("pci", XHCI);
            tree.usb(
                XHCI,
                "3-7",
                &Device(0x13d3, 0x784b, "FLH-BY-0309-200514", "Integrated Camera", "", UVC),
            );
        },
        told: &["usb-13d3:784b@pci-0000:00:14.0-usb-7", "usb-13d3:784b/0.1@pci-0000:00:14.0-usb-7"],
    },
    Recorded {
        what: "Sonix: the product's name for a number, or none",
        put: |tree| {
            tree.on("pci", XHCI);
            tree.usb(XHCI, "1-2.3", &SONIX);
            let camera = "USB 2.0 Camera";
            tree.usb(XHCI, "1-2.4", &Device(0x0c45, 0x6368, "Sonix Technology Co., Ltd.", camera, "", UVC));
        },
        told: &[
            "usb-0c45:6366@pci-0000:00:14.0-usb-2.3",
            "usb-0c45:6366/0.1@pci-0000:00:14.0-usb-2.3",
            "usb-0c45:6368@pci-0000:00:14.0-usb-2.4",
            "usb-0c45:6368/0.1@pci-0000:00:14.0-usb-2.4",
        ],
    },
    Recorded {
        what: "others whose number is everybody's: Realtek, Silicon Motion, Innomaker",
        put: |tree| {
            tree.on("pci", XHCI);
            tree.usb(XHCI, "1-1", &Device(0x0bda, 0x5830, "Generic", "USB Camera", "200901010001", UVC));
            tree.usb(XHCI, "1-2", &Device(0x090c, 0xf37d, "SMI", "USB 2.0 Camera", "webcam", UVC));
            let camera = "Innomaker-U20CAM-1080p-S1";
            tree.usb(XHCI, "1-3", &Device(0x0c45, 0x6366, "Innomaker", camera, "SN0001", UVC));
        },
        told: &[
            "usb-0bda:5830@pci-0000:00:14.0-usb-1",
            "usb-0bda:5830/0.1@pci-0000:00:14.0-usb-1",
            "usb-090c:f37d@pci-0000:00:14.0-usb-2",
            "usb-090c:f37d/0.1@pci-0000:00:14.0-usb-2",
            "usb-0c45:6366@pci-0000:00:14.0-usb-3",
            "usb-0c45:6366/0.1@pci-0000:00:14.0-usb-3",
        ],
    },
    Recorded {
        what: "others without one: Razer Kiyo, Aukey, Aoni",
        put: |tree| {
            tree.on("pci", XHCI);
            tree.usb(XHCI, "1-1", &Device(0x1532, 0x0e03, "Razer", "Razer Kiyo", "", UVC));
            tree.usb(XHCI, "1-2", &Device(0x1bcf, 0x0215, "", "Aukey-PC-LM1E Camera", "", UVC));
            tree.usb(XHCI, "1-3", &Device(0x1bcf, 0x2283, "Sunplus IT Co", "Aoni HD Camera", "", UVC));
        },
        told: &[
            "usb-1532:0e03@pci-0000:00:14.0-usb-1",
            "usb-1532:0e03/0.1@pci-0000:00:14.0-usb-1",
            "usb-1bcf:0215@pci-0000:00:14.0-usb-2",
            "usb-1bcf:0215/0.1@pci-0000:00:14.0-usb-2",
            "usb-1bcf:2283@pci-0000:00:14.0-usb-3",
            "usb-1bcf:2283/0.1@pci-0000:00:14.0-usb-3",
        ],
    },
    Recorded {
        what: "HDMI grabbers (MS2109) on a Raspberry Pi 3: no number, the one not even a name",
        put: |tree| {
            tree.platform(PI3);
            tree.usb(PI3, "1-1.3", &Device(0x534d, 0x2109, "MACROSILICON", "USB Video", "", UVC));
            tree.usb(PI3, "1-1.5", &Device(0x345f, 0x2109, "MACROSILICON", "", "", UVC));
        },
        told: &[
            "usb-534d:2109@platform-3f980000.usb-usb-1.3",
            "usb-534d:2109/0.1@platform-3f980000.usb-usb-1.3",
            "usb-345f:2109@platform-3f980000.usb-usb-1.5",
            "usb-345f:2109/0.1@platform-3f980000.usb-usb-1.5",
        ],
    },
    Recorded {
        what: "Intel RealSense D435: depth and infrared on one interface, colour on another",
        put: |tree| {
            tree.on("pci", XHCI);
            const NODES: &[(u8, u32, &str)] = &[(0, 0, "Depth"), (0, 2, "Infrared"), (3, 0, "RGB")];
            let serial = "819112073111";
            tree.usb(XHCI, "2-2", &Device(0x8086, 0x0b07, "Intel(R)", "RealSense(TM) 435", serial, NODES));
        },
        told: &[
            "usb-8086:0b07-819112073111",
            "usb-8086:0b07/0.2-819112073111",
            "usb-8086:0b07/3-819112073111",
        ],
    },
    Recorded {
        what: "Raspberry Pi 4: the sensor, the codecs and the image processor, a camera behind the VL805",
        put: |tree| {
            let (csi, videocore) =
                ("/devices/platform/soc/fe801000.csi", "/devices/platform/soc/fe00b840.mailbox");
            tree.platform(csi);
            tree.node(csi, 0, "unicam-image");
            tree.node(csi, 1, "unicam-embedded");
            let (codec, isp) = (format!("{videocore}/bcm2835-codec"), format!("{videocore}/bcm2835-isp"));
            for place in [videocore, &codec, &isp] {
                tree.platform(place);
            }
            for (name, index) in [("decode", 0), ("encode", 1), ("isp", 2), ("image_fx", 3)] {
                tree.node(&codec, index, &format!("bcm2835-codec-{name}"));
            }
            for index in 0..2 {
                tree.node(&isp, index, "bcm2835-isp");
            }
            tree.on("pci", PI4);
            tree.usb(PI4, "1-1.1", &SONIX);
        },
        told: &[
            "platform/unicam-image@platform-fe801000.csi",
            "platform/unicam-embedded.1@platform-fe801000.csi",
            "platform/bcm2835-codec-decode@platform-bcm2835-codec",
            "platform/bcm2835-codec-encode.1@platform-bcm2835-codec",
            "platform/bcm2835-codec-isp.2@platform-bcm2835-codec",
            "platform/bcm2835-codec-image_fx.3@platform-bcm2835-codec",
            "platform/bcm2835-isp@platform-bcm2835-isp",
            "platform/bcm2835-isp.1@platform-bcm2835-isp",
            "usb-0c45:6366@pci-0000:01:00.0-usb-1.1",
            "usb-0c45:6366/0.1@pci-0000:01:00.0-usb-1.1",
        ],
    },
    Recorded {
        what: "Raspberry Pi 5: two controllers that are counted as they are found, front end and back end",
        put: |tree| {
            let rp1 = "/devices/platform/axi/1000120000.pcie";
            let (csi, back) = (format!("{rp1}/1f00110000.csi"), "/devices/platform/axi/1000880000.pisp_be");
            let second = format!("{rp1}/1f00300000.usb/xhci-hcd.1");
            let first_above = PI5.rsplit_once('/').unwrap().0;
            let second_above = format!("{rp1}/1f00300000.usb");
            for place in [rp1, &csi, back, first_above, PI5, &second_above, &second] {
                tree.platform(place);
            }
            tree.node(&csi, 0, "rp1-cfe-csi2_ch0");
            tree.node(&csi, 1, "rp1-cfe-embedded");
            tree.node(back, 0, "pispbe-input");
            tree.node(back, 1, "pispbe-output0");
            tree.usb(PI5, "1-1", &SONIX);
            tree.usb(&second, "3-1", &SONIX);
        },
        told: &[
            "platform/rp1-cfe-csi2_ch0@platform-1f00110000.csi",
            "platform/rp1-cfe-embedded.1@platform-1f00110000.csi",
            "platform/pispbe-input@platform-1000880000.pisp_be",
            "platform/pispbe-output0.1@platform-1000880000.pisp_be",
            "usb-0c45:6366@platform-1f00200000.usb-usb-1",
            "usb-0c45:6366/0.1@platform-1f00200000.usb-usb-1",
            "usb-0c45:6366@platform-1f00300000.usb-usb-1",
            "usb-0c45:6366/0.1@platform-1f00300000.usb-usb-1",
        ],
    },
    Recorded {
        what: "Jetson Orin Nano: a sensor, and a camera at a hub",
        put: |tree| {
            let vi = "/devices/platform/tegra-capture-vi";
            tree.platform(vi);
            tree.platform(ORIN);
            tree.node(vi, 0, "vi-output, imx219 9-0010");
            tree.usb(ORIN, "1-2.1", &Device(0x32e4, 0x9230, "HD USB Camera", "HD USB Camera", "", UVC));
        },
        told: &[
            "platform/vi-output__imx219_9-0010@platform-tegra-capture-vi",
            "usb-32e4:9230@platform-3610000.usb-usb-2.1",
            "usb-32e4:9230/0.1@platform-3610000.usb-usb-2.1",
        ],
    },
    Recorded {
        what: "Jetson TX2: a sensor, and an ELP camera with H.264 on a node of its own",
        put: |tree| {
            let (vi, usb) = ("/devices/15700000.vi", "/devices/3530000.xhci");
            tree.platform(vi);
            tree.platform(usb);
            const NODES: &[(u8, u32, &str)] = &[(0, 0, "H264 USB Camera"), (0, 1, "H264 USB Camera")];
            tree.usb(
                usb,
                "1-2",
                &Device(0x05a3, 0x9422, "HD Camera Manufacturer", "H264 USB Camera", "", NODES),
            );
            tree.node(vi, 0, "vi-output, ov5693 2-0036");
        },
        told: &[
            "usb-05a3:9422@platform-3530000.xhci-usb-2",
            "usb-05a3:9422/0.1@platform-3530000.xhci-usb-2",
            "platform/vi-output__ov5693_2-0036@platform-15700000.vi",
        ],
    },
    Recorded {
        what: "boards whose controller has a host half: Qualcomm SA8155, i.MX 6 UltraLight; an Orange Pi without",
        put: |tree| {
            let qualcomm = "/devices/platform/soc/a800000.ssusb/a800000.dwc3/xhci-hcd.0.auto";
            let imx = "/devices/platform/soc/2100000.aips-bus/2184000.usb/ci_hdrc.0";
            let orange = "/devices/platform/soc/1c1b000.usb";
            for place in [qualcomm, imx, orange] {
                tree.platform(place.rsplit_once('/').unwrap().0);
                tree.platform(place);
            }
            tree.usb(qualcomm, "1-1", &C270);
            tree.usb(imx, "1-1", &C270);
            tree.usb(orange, "3-1", &C270);
        },
        told: &[
            "usb-046d:0825@platform-a800000.dwc3-usb-1",
            "usb-046d:0825/0.1@platform-a800000.dwc3-usb-1",
            "usb-046d:0825@platform-2184000.usb-usb-1",
            "usb-046d:0825/0.1@platform-2184000.usb-usb-1",
            "usb-046d:0825@platform-1c1b000.usb-usb-1",
            "usb-046d:0825/0.1@platform-1c1b000.usb-usb-1",
        ],
    },
    Recorded {
        what: "vivid and v4l2loopback: a driver's devices by name, those of no bus by number",
        put: |tree| {
            let vivid = "/devices/platform/vivid.0";
            tree.platform(vivid);
            tree.node(vivid, 0, "vivid-000-vid-cap");
            tree.node(vivid, 0, "vivid-001-vid-cap");
            tree.node("/devices/virtual", 0, "Cam A");
            tree.node("/devices/virtual", 0, "Cam A");
        },
        told: &[
            "platform/vivid-000-vid-cap@platform-vivid.0",
            "platform/vivid-001-vid-cap@platform-vivid.0",
            "virtual/Cam_A@virtual-video2",
            "virtual/Cam_A@virtual-video3",
        ],
    },
];
