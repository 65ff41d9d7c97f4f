//! What the helper can be asked for, as text and back.

use std::fmt;

/// A request is no longer than this, its line's end included.
const LONGEST: usize = 96;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Unbind the driver of a USB interface and bind it again.
    RebindUsb(String),
    /// The same for a device of the platform bus.
    RebindPlatform(String),
    /// Take a USB device's authorization away and give it back.
    Reauthorize(String),
}

impl Request {
    /// Reads a line without its end. `None` = it is none that the helper knows.
    pub fn parse(line: &[u8]) -> Option<Request> {
        let line = std::str::from_utf8(line).ok().filter(|line| line.len() < LONGEST)?;
        let (verb, name) = line.split_once(' ')?;
        match verb {
            "rebind" if is_interface(name) => Some(Request::RebindUsb(name.into())),
            "rebind" if is_platform(name) => Some(Request::RebindPlatform(name.into())),
            "reauthorize" if is_usb_device(name) => Some(Request::Reauthorize(name.into())),
            _ => None,
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::RebindUsb(name) | Request::RebindPlatform(name) => write!(f, "rebind {name}"),
            Request::Reauthorize(name) => write!(f, "reauthorize {name}"),
        }
    }
}

/// What can be asked for a camera, by where it stands in the tree of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// What gives it its driver anew.
    pub rebind: Option<Request>,
    /// What plugs its USB device in again.
    pub reauthorize: Option<Request>,
}

impl Reach {
    /// `devpath`: of its node, as [`crate::device::Node::devpath`] has it.
    pub fn of(devpath: &str) -> Reach {
        let Some((above, _node)) = devpath.split_once("/video4linux/") else { return Reach::default() };
        let mut parents = above.rsplit('/');
        let Some(device) = parents.next() else { return Reach::default() };
        if is_interface(device) {
            let usb = parents.next().filter(|name| is_usb_device(name));
            return Reach {
                rebind: Some(Request::RebindUsb(device.into())),
                reauthorize: usb.map(|name| Request::Reauthorize(name.into())),
            };
        }
        let platform = above.starts_with("/devices/platform/") && is_platform(device);
        Reach { rebind: platform.then(|| Request::RebindPlatform(device.into())), reauthorize: None }
    }
}

/// `1-1.4`: the number of a bus, and the ports on the way. A hub of hubs is seven deep at most.
fn is_usb_device(name: &str) -> bool {
    let Some((bus, way)) = name.split_once('-') else { return false };
    is_number(bus) && way.split('.').count() <= 7 && way.split('.').all(is_number)
}

/// `1-1.4:1.0`: a device, its configuration and the interface.
fn is_interface(name: &str) -> bool {
    let Some((device, rest)) = name.split_once(':') else { return false };
    let Some((configuration, interface)) = rest.split_once('.') else { return false };
    is_usb_device(device) && is_number(configuration) && is_number(interface)
}

fn is_number(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// `vivid.0`, `fe801000.csi`, `1000110000.csi`: begins with a letter or a digit and has no slash.
fn is_platform(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-,@:".contains(&b);
    (1..=64).contains(&name.len())
        && name.bytes().all(fits)
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && !name.contains("..")
        && !is_usb_device(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_it_knows_is_read_and_nothing_else() {
        for good in ["rebind 1-1.4:1.0", "rebind vivid.0", "rebind fe801000.csi", "reauthorize 1-1.4"] {
            assert_eq!(Request::parse(good.as_bytes()).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "rebind",
            "rebind ",
            "rebind  vivid.0",
            "Rebind vivid.0",
            "rebind 1-1.4",
            "rebind usb1/1-1",
            "rebind ../vivid.0",
            "rebind ..",
            "rebind .",
            "rebind vivid..0",
            "rebind vivid.0\n",
            "rebind vivid.0 ",
            "rebind vivid.0\0",
            "reauthorize 1-1.4:1.0",
            "reauthorize usb1",
            "reauthorize 1-",
            "reauthorize 1-1.",
            "reauthorize 1-1.1.1.1.1.1.1.1",
            "reauthorize 1-1/../../../../etc",
            "unbind vivid.0",
            "rebind v\u{ef}vid.0",
        ] {
            assert_eq!(Request::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Request::parse(format!("rebind {}", "a".repeat(65)).as_bytes()), None);
        assert_eq!(Request::parse(b"rebind \xff"), None);
    }

    #[test]
    fn a_cameras_place_says_what_can_be_asked_for() {
        let reach = |devpath| {
            let Reach { rebind, reauthorize } = Reach::of(devpath);
            [rebind, reauthorize].map(|r| r.map(|r| r.to_string()))
        };
        let usb = "/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.4/1-1.4:1.0/video4linux/video0";
        assert_eq!(reach(usb), [Some("rebind 1-1.4:1.0".into()), Some("reauthorize 1-1.4".into())]);
        let vivid = "/devices/platform/vivid.0/video4linux/video1";
        assert_eq!(reach(vivid), [Some("rebind vivid.0".into()), None]);
        for other in [
            "/devices/virtual/video4linux/video20",
            "/devices/pci0000:00/0000:01:00.0/video4linux/video0",
            "",
        ] {
            assert_eq!(reach(other), [None, None], "{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_refused_or_names_one_device(line in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Request::parse(&line);
        }

        #[test]
        fn no_name_leads_out_of_its_folder(verb in "(rebind|reauthorize)", name in "[-0-9a-z./:@,_ \\\\]{0,70}") {
            let line = format!("{verb} {name}");
            if let Some(request) = Request::parse(line.as_bytes()) {
                prop_assert_eq!(request.to_string(), line);
                prop_assert!(!name.contains('/') && !name.contains("..") && name != "." && !name.contains(' '));
            }
        }

        #[test]
        fn what_a_place_offers_can_be_asked_for(devpath in "(/devices/platform)?(/[-0-9a-z.:]{1,12}){1,4}/video4linux/video0") {
            let Reach { rebind, reauthorize } = Reach::of(&devpath);
            for request in [rebind, reauthorize].into_iter().flatten() {
                prop_assert_eq!(Request::parse(request.to_string().as_bytes()), Some(request));
            }
        }
    }
}
