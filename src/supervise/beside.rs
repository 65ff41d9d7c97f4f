//! A connection that is served for as long as somebody works on it.

/// Does `work` while `service` runs beside it, in the same task. Only the work decides: the service may end before, for
/// the last bytes of a connection still wait to be taken then. Cancel-safe where both are.
pub async fn beside<T>(service: impl Future, work: impl Future<Output = T>) -> T {
    let serve = async {
        let _ = service.await;
        std::future::pending().await
    };
    tokio::select! {
        done = work => done,
        never = serve => never,
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::beside;

    #[tokio::test]
    async fn only_the_work_ends_it() {
        let (say, hear) = oneshot::channel();
        let ended_first = beside(async { say.send(5).unwrap() }, async {
            let heard = hear.await.unwrap();
            tokio::task::yield_now().await;
            heard
        });
        assert_eq!(ended_first.await, 5);
        assert_eq!(beside(std::future::pending::<()>(), async { 6 }).await, 6);
    }
}
