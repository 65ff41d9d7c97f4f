//! What an actor shows of its camera, and the fact that follows when clients would see a difference.

use tokio::sync::watch;

use super::view::{CameraStatus, CameraView};
use crate::base::Mono;
use crate::notice::{CameraRow, Fact, Notices};

/// The actor's end of its view.
pub(super) struct Shown {
    view: watch::Sender<CameraView>,
    notices: Notices,
}

impl Shown {
    /// The end, and where the rest of the program looks.
    pub fn new(first: CameraView, notices: &Notices) -> (Self, watch::Receiver<CameraView>) {
        let (view, seen) = watch::channel(first);
        (Self { view, notices: notices.clone() }, seen)
    }

    /// What is shown now.
    pub fn borrow(&self) -> watch::Ref<'_, CameraView> {
        self.view.borrow()
    }

    /// Shows something else.
    pub fn show(&self, mut view: CameraView) {
        let (id, now) = (view.id, view.row());
        view.last_seen = {
            let before = self.view.borrow();
            let is_there = [before.status, view.status].contains(&CameraStatus::Connected);
            is_there.then(Mono::now).or(before.last_seen)
        };
        let before = self.view.send_replace(view).row();
        if differs(&before, &now) {
            self.notices.send(Fact::Camera { id, was: before.status, row: now });
        }
    }
}

/// A measured rate wavers by one; that is no news.
fn differs(a: &CameraRow, b: &CameraRow) -> bool {
    let rate = a.fps != b.fps && (a.fps == 0 || b.fps == 0 || a.fps.abs_diff(b.fps) > 1);
    rate || CameraRow { fps: 0, ..a.clone() } != CameraRow { fps: 0, ..b.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CameraId;

    #[test]
    fn a_difference_that_clients_see_is_told_once() {
        let notices = Notices::new();
        let mut facts = notices.subscribe();
        let first = CameraView::unseen(CameraId(1), "gate");
        let (shown, _seen) = Shown::new(first.clone(), &notices);
        shown.show(first.clone());
        let mut up =
            CameraView { status: CameraStatus::Connected, width: 640, height: 360, fps: 30, ..first };
        shown.show(up.clone());
        up.fps = 29;
        up.stream.bytes_sent = 7;
        shown.show(up);
        let Ok(Fact::Camera { id, was, row }) = facts.try_recv() else { panic!("no fact") };
        assert_eq!((id, was, row.status, row.width), (CameraId(1), "DISCONNECTED", "CONNECTED", 640));
        assert!(facts.try_recv().is_err());
    }
}
