use std::time::Duration;

use crate::auth::{Auth, NewApiKey, Role};
use crate::base::{Clock, ErrorKind, Mono};
use crate::store::Store;

const HOUR: Duration = Duration::from_secs(3600);
const PATH: &str = "/files/snapshots/x.jpg";

struct OneBox {
    dir: tempfile::TempDir,
    store: Store,
    auth: Auth,
}

impl OneBox {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        let auth = Self::open(&dir, &store).await;
        Self { dir, store, auth }
    }

    async fn open(dir: &tempfile::TempDir, store: &Store) -> Auth {
        let auth = Auth::open(dir.path(), None, Clock::new(), 0).unwrap();
        auth.keep_keys_in(store.clone()).await.unwrap();
        auth
    }

    /// The same box after a restart.
    async fn again(&self) -> Auth {
        Self::open(&self.dir, &self.store).await
    }

    async fn key(&self) -> NewApiKey {
        self.auth.create_api_key(Role::Operator, "hall", None).await.unwrap()
    }
}

fn opens(auth: &Auth, key: &NewApiKey) -> bool {
    auth.verify(key.key.expose()).is_ok()
}

#[tokio::test]
async fn a_key_logs_in_and_everything_of_it_ends_when_it_is_revoked() {
    let a_box = OneBox::new().await;
    let auth = &a_box.auth;
    let (key, other) = (a_box.key().await, a_box.key().await);
    let login = auth.verify(key.key.expose()).unwrap();
    assert_eq!(
        (login.user.as_str(), login.role),
        (format!("key:hall {}", key.shown.id).as_str(), Role::Operator)
    );
    let header = format!("Bearer {}", key.key.expose());
    assert_eq!(auth.verify_header(Some(&header)).unwrap().token_id, login.token_id);
    let link = auth.sign_path(&login, PATH);
    assert_eq!(auth.check_signed("GET", PATH, &link).unwrap().user, login.user);
    // Both ways to read streams in its name.
    let (user, password) = auth.stream_credential(&login);
    let streams = [(user, password), (key.stream_user.clone(), key.stream_password.clone())];
    for (user, password) in &streams {
        assert!(auth.check_stream(user, password.expose()).is_ok() && auth.may_go_on(user), "{user}");
        assert!(auth.check_stream(user, other.stream_password.expose()).is_err());
    }

    auth.revoke_api_key(&key.shown.id).await.unwrap();
    assert!(!login.is_valid(Mono::now()), "open sockets");
    login.standing.revoked().await;
    assert_eq!(login.standing.reason(), "key_revoked");
    assert!(!opens(auth, &key) && auth.check_signed("GET", PATH, &link).is_err());
    for (user, password) in &streams {
        assert!(auth.check_stream(user, password.expose()).is_err() && !auth.may_go_on(user), "{user}");
    }
    assert!(opens(auth, &other) && auth.may_go_on(&other.stream_user));
    let again = auth.revoke_api_key(&key.shown.id).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotFound);
    assert_eq!(auth.api_keys().len(), 1);
}

#[tokio::test]
async fn nearly_a_key_is_none() {
    let a_box = OneBox::new().await;
    let key = a_box.key().await;
    let text = key.key.expose();
    let other = a_box.key().await;
    let swapped = text.replace(&key.shown.id, &other.shown.id);
    for bad in [&text[..text.len() - 1], &format!("{text}0"), &text.to_uppercase(), &swapped, "fk_", "fk_a_b"]
    {
        assert_eq!(a_box.auth.verify(bad).unwrap_err().kind(), ErrorKind::AuthFailed, "{bad}");
    }
    assert!(a_box.auth.check_stream(&key.stream_user, text).is_err(), "the key is no stream password");
    assert!(a_box.auth.verify(key.stream_password.expose()).is_err(), "nor the other way round");
}

#[tokio::test]
async fn neither_an_older_database_nor_one_that_is_away_brings_a_revoked_key_back() {
    let a_box = OneBox::new().await;
    let (first, second) = (a_box.key().await, a_box.key().await);
    let row = a_box.store.api_keys().await.unwrap().into_iter().find(|row| row.id == first.shown.id).unwrap();
    a_box.auth.revoke_api_key(&first.shown.id).await.unwrap();
    a_box.store.add_api_key(row, None).await.unwrap();
    a_box.store.suspend("the data disk is gone").await.unwrap();
    a_box.auth.revoke_api_key(&second.shown.id).await.unwrap();
    a_box.store.resume(&a_box.dir.path().join("t.db")).await.unwrap();
    assert_eq!(a_box.store.api_keys().await.unwrap().len(), 2);
    let again = a_box.again().await;
    for key in [&first, &second] {
        assert!(!opens(&a_box.auth, key) && !opens(&again, key));
    }
    assert!(a_box.store.api_keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_replaced_key_goes_on_for_the_overlap_also_where_it_is_logged_in() {
    let a_box = OneBox::new().await;
    let auth = &a_box.auth;
    let key = a_box.key().await;
    let login = auth.verify(key.key.expose()).unwrap();
    let (new, until_us) = auth.rotate_api_key(&key.shown.id, HOUR, None).await.unwrap();
    assert_eq!((new.shown.name.as_str(), new.shown.role), ("hall", Role::Operator));
    assert!(opens(auth, &key) && opens(auth, &new));
    auth.0.ring.sweep(until_us - 1);
    assert!(login.is_valid(Mono::now()));
    auth.0.ring.sweep(until_us);
    assert!(!login.is_valid(Mono::now()));
    // A second time, and at once; it never gets longer.
    let login = auth.verify(key.key.expose()).unwrap();
    let (user, link) = (auth.stream_credential(&login).0, auth.sign_path(&login, PATH));
    assert!(auth.may_go_on(&user) && auth.check_signed("GET", PATH, &link).is_ok());
    let (newest, at_once) = auth.rotate_api_key(&key.shown.id, Duration::ZERO, None).await.unwrap();
    assert!(at_once < until_us && !opens(auth, &key) && opens(auth, &newest));
    assert!(!login.is_valid(Mono::now()), "also where it is logged in");
    assert!(!auth.may_go_on(&user) && !auth.may_go_on(&key.stream_user), "its viewers are sent away");
    assert!(auth.check_signed("GET", PATH, &link).is_err());
    let (_, still) = auth.rotate_api_key(&key.shown.id, HOUR, None).await.unwrap();
    assert_eq!(still, at_once);
    let again = a_box.again().await;
    assert!(!opens(&again, &key) && opens(&again, &new) && opens(&again, &newest));
}

#[tokio::test]
async fn the_use_of_a_key_is_noted_and_its_secret_is_nowhere() {
    let a_box = OneBox::new().await;
    let key = a_box.key().await;
    assert_eq!(a_box.auth.api_keys()[0].used_us, None);
    assert!(opens(&a_box.auth, &key));
    assert!(a_box.auth.api_keys()[0].used_us.is_some());
    assert_eq!(a_box.auth.0.ring.used_since().len(), 1);
    a_box.auth.0.ring.note_use().await;
    assert!(a_box.auth.0.ring.used_since().is_empty(), "once is enough");
    assert!(a_box.again().await.api_keys()[0].used_us.is_some());
    for name in ["t.db", "t.db-wal"] {
        let bytes = std::fs::read(a_box.dir.path().join(name)).unwrap();
        for secret in [&key.key, &key.stream_password] {
            let secret = secret.expose().as_bytes();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{name}");
        }
    }
}
