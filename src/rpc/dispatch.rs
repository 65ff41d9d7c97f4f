//! From one message to its answer.

use super::audited;
use super::calls;
use super::envelope::{self, Bad, NO_ID, Request, invalid};
use super::frame::Writer;
use super::params::Fields;
use super::reply;
use super::session::Session;
use super::table::{Method, Run, Table, Work};
use crate::auth::unclaimed;
use crate::base::{Error, ErrorKind, Mono, Result};

/// A call that could not be answered at once.
pub(super) struct Slow {
    /// None: nobody waits for the answer.
    pub(super) id: Option<String>,
    pub(super) method: &'static str,
    pub(super) work: Work,
}

/// What became of a message.
pub(super) enum Outcome {
    /// Answered, or a notification carried out.
    Done,
    /// Failed by a fault of ours.
    Fault,
    /// To be worked on.
    Slow(Slow),
}

/// Reads a message and answers it, or says what has to be waited for.
pub(super) fn text(table: &Table, session: &mut Session, message: &[u8], out: &mut Writer) -> Outcome {
    let request = match (envelope::parse(message), admit_stranger(session)) {
        (Ok(request), Ok(())) => request,
        (Err(Bad { id, error }), Ok(())) | (Err(Bad { id, .. }), Err(error)) => {
            out.text(|out| reply::error(out, id, "", &error));
            return Outcome::Done;
        }
        (Ok(request), Err(error)) => {
            if let Some(id) = request.id {
                out.text(|out| reply::error(out, id, &request.method, &error));
            }
            return Outcome::Done;
        }
    };
    match request.id {
        Some(id) => {
            let mut outcome = Outcome::Done;
            let mut failed = None;
            out.text_unless(|out| {
                failed = reply::answer(out, id, &request.method, |out| {
                    outcome = call(table, session, &request, out)?;
                    Ok(())
                });
                matches!(outcome, Outcome::Slow(_))
            });
            if is_fault(failed) { Outcome::Fault } else { outcome }
        }
        None => {
            let mut unheard = Vec::new();
            match call(table, session, &request, &mut unheard) {
                Ok(outcome) => outcome,
                Err(e) => {
                    tracing::debug!(method = &*request.method, "notification: {}", e.chain());
                    if is_fault(Some(e.kind())) { Outcome::Fault } else { Outcome::Done }
                }
            }
        }
    }
}

/// Counts a message of a socket that is not logged in against its address; the box itself may send any number.
fn admit_stranger(session: &Session) -> Result<()> {
    let reached = &session.call.reached;
    if session.is_known() || reached.near {
        return Ok(());
    }
    session.call.services.auth.admit_stranger(reached.peer)
}

/// Answers what is not text.
pub(super) fn binary(out: &mut Writer) {
    let error = invalid("binary frames are not supported", "send requests as text frames");
    out.text(|out| reply::error(out, NO_ID, "", &error));
}

/// Whether an error of this kind counts against the box's health.
pub(super) fn is_fault(kind: Option<ErrorKind>) -> bool {
    matches!(kind, Some(ErrorKind::Internal | ErrorKind::DependencyFailed | ErrorKind::Config))
}

fn call(table: &Table, session: &mut Session, request: &Request<'_>, out: &mut Vec<u8>) -> Result<Outcome> {
    let method = table.get(&request.method).ok_or_else(|| {
        Error::new(ErrorKind::MethodNotFound, "Method not found")
            .with("hint", "names are lower case with underscores, such as get_camera_list")
    })?;
    let target = method.audited.and_then(|audited| audited.target(request.params));
    let outcome = carry_out(method, session, request, out);
    audited::settle(session, method.name, method.audited, target, outcome)
}

fn carry_out(
    method: &Method,
    session: &mut Session,
    request: &Request<'_>,
    out: &mut Vec<u8>,
) -> Result<Outcome> {
    if session.call.services.auth.is_unclaimed() {
        if !method.unclaimed {
            return Err(unclaimed(Some(&session.call.reached.authority())));
        }
    } else if let Some(role) = method.role {
        session.call.admit(role, Mono::now())?;
    }
    let fields = Fields::parse(request.params)?;
    match &method.run {
        Run::Now(run) => run(&session.call, &fields, out)?,
        Run::Enter(run) => match run(session, &fields, out) {
            Err(error) if error.kind() == ErrorKind::AuthFailed => {
                let wait = session.call.services.auth.failed(session.call.reached.peer);
                if wait.is_zero() {
                    return Err(error);
                }
                let work = Box::pin(async move {
                    tokio::time::sleep(wait).await;
                    Err(error)
                });
                return Ok(slow(method, session, request, work));
            }
            done => done?,
        },
        Run::Later(begin) => {
            let work = begin(&session.call, &fields)?;
            return Ok(slow(method, session, request, work));
        }
    }
    Ok(Outcome::Done)
}

fn slow(method: &Method, session: &Session, request: &Request<'_>, work: Work) -> Outcome {
    let work = Box::pin(calls::in_time(session.call.stop.clone(), calls::LAST_TIME, work));
    Outcome::Slow(Slow { id: request.id.map(str::to_owned), method: method.name, work })
}
