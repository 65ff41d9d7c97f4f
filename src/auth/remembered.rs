//! What one connection proved last, so that a page which polls on it is not judged anew each time.

use std::sync::{Mutex, PoisonError};

use super::keys::same;
use super::{Auth, Login};
use crate::base::{Mono, Result};

/// The last `Authorization` header of a connection that held a good token. To judge one takes two HMACs
/// and some parsing, 4 µs where the whole answer of a poll that finds nothing new takes 20.
#[derive(Default)]
pub struct Remembered(Mutex<Option<(Box<[u8]>, Login)>>);

impl Auth {
    /// As [`Auth::verify_header`]; a header like the last one is the same login until that expires.
    pub fn verify_again(&self, remembered: &Remembered, value: &[u8]) -> Result<Login> {
        let mut last = remembered.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, login)) = &*last
            // A proxy may lead several clients' requests over one connection.
            && same(known, value)
            && login.is_valid(Mono::now())
        {
            return Ok(login.clone());
        }
        *last = None;
        let login = self.verify_header(std::str::from_utf8(value).ok())?;
        *last = Some((value.into(), login.clone()));
        Ok(login)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::Role;
    use crate::base::Clock;

    #[test]
    fn the_last_token_is_known_until_it_expires_and_no_other_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let auth = Auth::open(dir.path(), None, Clock::new(), 0).unwrap();
        let header = |user: &str, valid: Duration| {
            format!("Bearer {}", auth.mint(Role::Viewer, user, valid).unwrap().expose())
        };
        let (ann, bob) = (header("ann", Duration::from_secs(600)), header("bob", Duration::from_secs(600)));
        let remembered = Remembered::default();
        let ask = |value: &str| auth.verify_again(&remembered, value.as_bytes()).map(|l| l.user);
        let first = auth.verify_again(&remembered, ann.as_bytes()).unwrap();
        assert_eq!(auth.verify_again(&remembered, ann.as_bytes()).unwrap(), first, "its deadline too");
        assert_eq!(ask(&bob).unwrap(), "bob");
        for bad in [&ann[..ann.len() - 1], &format!("{ann}A"), "", "Bearer ", &ann.replace('.', ",")] {
            ask(&ann).unwrap();
            ask(bad).unwrap_err();
            assert!(remembered.0.lock().unwrap().is_none(), "{bad}");
        }
        assert!(auth.verify_again(&remembered, b"Bearer \xff").is_err());

        ask(&ann).unwrap();
        if let Some((_, login)) = &mut *remembered.0.lock().unwrap() {
            login.deadline = Mono::now();
        }
        let again = auth.verify_again(&remembered, ann.as_bytes()).unwrap();
        assert!(again.is_valid(Mono::now()), "what is over is judged anew");
    }
}
