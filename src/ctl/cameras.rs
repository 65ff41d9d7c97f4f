//! The list of cameras, and what is kept of those that are plugged in.

use serde_json::{Value, json};

use super::link::{Link, read};
use super::reply::{Camera, CameraList, Device, DeviceList};
use super::screen;
use super::table::render;
use crate::base::{ErrorKind, Result};

/// Shows the list; with model, port and id where a camera is a V4L2 device.
pub(super) async fn list(link: &mut Link, json: bool) -> Result<()> {
    let raw = link.call("get_camera_list", None).await?;
    if json {
        screen::line(raw.get());
        return Ok(());
    }
    let list: CameraList = read(&raw)?;
    if list.cameras.is_empty() {
        screen::line("no cameras");
        return Ok(());
    }
    let devices = match link.ask::<DeviceList>("list_devices", Value::Null).await {
        Ok(known) => known.devices,
        // A box of an earlier version.
        Err(e) if e.kind() == ErrorKind::Unsupported => Vec::new(),
        Err(e) => return Err(e),
    };
    screen::line(&table(&list, &devices));
    Ok(())
}

/// Cameras in columns.
pub(super) fn table(list: &CameraList, devices: &[Device]) -> String {
    let usual = |c: &Camera| {
        vec![c.device.clone(), c.status.clone(), c.resolution.clone(), c.fps.to_string(), c.name.clone()]
    };
    let with_device = |c: &Camera| {
        let device = devices.iter().find(|d| d.device == c.device);
        let [model, port, id] = device.map_or([(); 3].map(|()| "-".to_owned()), |d| {
            let pinned = if d.pinned { " (pinned)" } else { "" };
            [d.model.clone(), format!("{}{pinned}", d.port), d.identity.clone()]
        });
        usual(c).into_iter().chain([model, port, id]).collect()
    };
    if devices.is_empty() {
        let rows: Vec<_> = list.cameras.iter().map(usual).collect();
        return render(&["CAMERA", "STATUS", "SIZE", "FPS", "NAME"], &rows);
    }
    let rows: Vec<_> = list.cameras.iter().map(with_device).collect();
    render(&["CAMERA", "STATUS", "SIZE", "FPS", "NAME", "MODEL", "PORT", "ID"], &rows)
}

/// `rename_device`.
pub(super) async fn name(link: &mut Link, device: &str, name: Option<&str>, json: bool) -> Result<()> {
    tell(link, "rename_device", json!({ "device": device, "name": name }), json).await
}

/// `pin_device`.
pub(super) async fn pin(link: &mut Link, device: &str, pinned: bool, json: bool) -> Result<()> {
    tell(link, "pin_device", json!({ "device": device, "pinned": pinned }), json).await
}

/// `forget_device`.
pub(super) async fn forget(link: &mut Link, device: &str, json: bool) -> Result<()> {
    tell(link, "forget_device", json!({ "device": device }), json).await
}

async fn tell(link: &mut Link, method: &str, params: Value, json: bool) -> Result<()> {
    let raw = link.call(method, Some(params)).await?;
    if json {
        screen::line(raw.get());
        return Ok(());
    }
    screen::line(read::<Value>(&raw)?["message"].as_str().unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cameras() -> CameraList {
        let row = |device: &str, name: &str| json!({ "device": device, "status": "CONNECTED", "name": name, "resolution": "640x360", "fps": 30 });
        serde_json::from_value(json!({ "cameras": [row("camera0", "Gate"), row("camera1", "Test")] }))
            .unwrap()
    }

    #[test]
    fn a_box_without_devices_has_the_short_list() {
        assert_eq!(table(&cameras(), &[]).lines().next(), Some("CAMERA   STATUS     SIZE     FPS  NAME"));
    }

    #[test]
    fn a_device_shows_what_it_is_where_and_its_id() {
        let device = Device {
            device: "camera0".into(),
            identity: "usb-046d:082d-8F2A".into(),
            model: "C920".into(),
            port: "usb-1.2".into(),
            pinned: true,
        };
        let table = table(&cameras(), &[device]);
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[1].ends_with("Gate  C920   usb-1.2 (pinned)  usb-046d:082d-8F2A"), "{table}");
        assert!(lines[2].ends_with("Test  -      -                 -"), "{table}");
    }
}
