//! The list of methods: name, role, parameter type, result type, handler, in one entry each.

use std::collections::HashMap;
use std::pin::Pin;

use serde::Serialize;

use super::audited::Audited;
use super::params::{Fields, Params};
use super::reply;
use super::session::{Call, Session};
use crate::auth::Role;
use crate::base::Result;

/// All that an unclaimed box answers.
const UNCLAIMED: [&str; 4] = ["ping", "get_server_info", "claim_challenge", "claim"];

/// A slow call on its way; ends with its result as JSON.
pub(super) type Work = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send>>;

type Write = Box<dyn Fn(&Call, &Fields<'_>, &mut Vec<u8>) -> Result<()> + Send + Sync>;
type Enter = Box<dyn Fn(&mut Session, &Fields<'_>, &mut Vec<u8>) -> Result<()> + Send + Sync>;
type Begin = Box<dyn Fn(&Call, &Fields<'_>) -> Result<Work> + Send + Sync>;

/// One method.
pub(super) struct Method {
    pub(super) name: &'static str,
    /// The least role that may call it; none: no log-in needed.
    pub(super) role: Option<Role>,
    /// It answers, to anybody, also while the box is not claimed.
    pub(super) unclaimed: bool,
    pub(super) run: Run,
    /// What the audit log is told of its calls.
    pub(super) audited: Option<Audited>,
    /// Its parameters alone, for the comparison with the API document and for the fuzzer.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) reads: fn(&Fields<'_>) -> Result<()>,
}

impl Method {
    fn new<P: Params>(name: &'static str, role: Option<Role>, run: Run) -> Self {
        Self {
            name,
            role,
            unclaimed: UNCLAIMED.contains(&name),
            run,
            audited: Audited::of(name),
            #[cfg(any(test, feature = "fuzzing"))]
            reads: |fields| P::read(fields).map(drop),
        }
    }
}

/// How a method is carried out.
pub(super) enum Run {
    /// From memory, at once, in the order of the requests.
    Now(Write),
    /// The same, changing the session.
    Enter(Enter),
    /// It waits for something, beside the socket's other requests.
    Later(Begin),
}

/// A method answered from memory.
pub(super) fn now<P, R>(name: &'static str, role: Role, handler: fn(&Call, P) -> Result<R>) -> Method
where
    P: Params + 'static,
    R: Serialize + 'static,
{
    open_now(name, Some(role), handler)
}

/// As [`now`], without log-in where `role` is none.
pub(super) fn open_now<P, R>(
    name: &'static str,
    role: Option<Role>,
    handler: fn(&Call, P) -> Result<R>,
) -> Method
where
    P: Params + 'static,
    R: Serialize + 'static,
{
    let run: Write = Box::new(move |call, fields, out| reply::json(out, &handler(call, P::read(fields)?)?));
    Method::new::<P>(name, role, Run::Now(run))
}

/// As [`later`], without log-in.
pub(super) fn open_later<P, R, F>(name: &'static str, handler: fn(Call, P) -> F) -> Method
where
    P: Params + Send + 'static,
    R: Serialize + 'static,
    F: Future<Output = Result<R>> + Send + 'static,
{
    Method { role: None, ..later(name, Role::Admin, handler) }
}

/// A method that changes the session.
pub(super) fn enter<P, R>(name: &'static str, handler: fn(&mut Session, P) -> Result<R>) -> Method
where
    P: Params + 'static,
    R: Serialize + 'static,
{
    let run: Enter =
        Box::new(move |session, fields, out| reply::json(out, &handler(session, P::read(fields)?)?));
    Method::new::<P>(name, None, Run::Enter(run))
}

/// A method of the session that needs a role.
pub(super) fn enter_as<P, R>(
    name: &'static str,
    role: Role,
    handler: fn(&mut Session, P) -> Result<R>,
) -> Method
where
    P: Params + 'static,
    R: Serialize + 'static,
{
    Method { role: Some(role), ..enter(name, handler) }
}

/// A method that waits for the disk, the database or a process.
pub(super) fn later<P, R, F>(name: &'static str, role: Role, handler: fn(Call, P) -> F) -> Method
where
    P: Params + Send + 'static,
    R: Serialize + 'static,
    F: Future<Output = Result<R>> + Send + 'static,
{
    let run: Begin = Box::new(move |call, fields| {
        let work = handler(call.clone(), P::read(fields)?);
        Ok(Box::pin(async move {
            let mut out = Vec::new();
            reply::json(&mut out, &work.await?)?;
            Ok(out)
        }))
    });
    Method::new::<P>(name, Some(role), Run::Later(run))
}

/// Methods by name.
pub(super) struct Table(HashMap<&'static str, Method>);

impl Table {
    pub(super) fn new(methods: Vec<Method>) -> Self {
        let count = methods.len();
        let table: HashMap<_, _> = methods.into_iter().map(|m| (m.name, m)).collect();
        assert_eq!(table.len(), count, "two methods have one name");
        Self(table)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Method> {
        self.0.get(name)
    }
}
