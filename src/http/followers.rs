//! How many live streams of pictures there may be, over all and for each log-in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::auth::Login;
use crate::base::{Error, ErrorKind, Result};

/// For one log-in: a wall of sixteen cameras.
const EACH: usize = 16;
/// Over all: their frames are at most two a client in memory.
const ALL: usize = 256;

/// The streams under way. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Followers(Arc<Mutex<HashMap<String, usize>>>);

/// One stream's place.
pub(super) struct Place {
    followers: Followers,
    token_id: String,
}

impl Followers {
    /// Takes a place, or says why there is none.
    pub fn enter(&self, login: &Login) -> Result<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.values().sum::<usize>() >= ALL {
            return Err(Error::dependency(
                "http",
                format!("{ALL} streams of pictures are being sent already"),
            )
            .with("suggestion", "try again later, or watch over HLS, WebRTC or RTSP"));
        }
        let own = all.entry(login.token_id.clone()).or_insert(0);
        if *own >= EACH {
            return Err(Error::new(ErrorKind::RateLimited, "Rate limited: too many streams of pictures")
                .with("retry_after_ms", 1000)
                .with("suggestion", format!("close one first: a log-in may have {EACH} at the same time")));
        }
        *own += 1;
        drop(all);
        Ok(Place { followers: self.clone(), token_id: login.token_id.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.followers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(&self.token_id) {
            *own -= 1;
            if *own == 0 {
                all.remove(&self.token_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Role, Standing};
    use crate::base::Mono;

    fn login(n: usize) -> Login {
        Login {
            user: "ann".into(),
            role: Role::Viewer,
            issued_us: 0,
            expires_us: 0,
            deadline: Mono(0),
            token_id: format!("token{n}"),
            standing: Standing::default(),
        }
    }

    #[test]
    fn each_login_and_all_together_have_a_limit_and_places_come_free() {
        let followers = Followers::default();
        let kind = |n| followers.enter(&login(n)).err().map(|e| e.kind());
        let mut places: Vec<_> = (0..EACH).map(|_| followers.enter(&login(0)).unwrap()).collect();
        assert_eq!(kind(0), Some(ErrorKind::RateLimited));
        places.pop();
        assert_eq!(kind(0), None);
        places.extend((0..).map_while(|n| followers.enter(&login(1 + n / EACH)).ok()));
        assert_eq!(places.len(), ALL);
        assert_eq!(kind(0), Some(ErrorKind::DependencyFailed));
        drop(places);
        assert!(followers.0.lock().unwrap().is_empty());
    }
}
