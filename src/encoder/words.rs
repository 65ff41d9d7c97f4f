//! The first words of an FFmpeg, fit for a reply: without URLs and without our paths.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::supervise::{Child, FirstWords, Group, drain_lines};

/// The end of its output follows its own end at once, unless it left a child behind.
const PATIENCE: Duration = Duration::from_millis(500);

/// What one process says on its standard error.
pub struct Words {
    text: Arc<Mutex<FirstWords>>,
    listener: Option<JoinHandle<()>>,
}

impl Words {
    /// Starts listening.
    pub fn listen(name: &str, program: &Path, child: &mut Child, group: &Group) -> Self {
        let text = Arc::new(Mutex::new(FirstWords::default()));
        let listener = child.stderr.take().map(|stderr| {
            let text = text.clone();
            let program = program.to_owned();
            group.spawn(format!("encoder {name} stderr"), async move {
                drain_lines(stderr, |line| {
                    let line = without_secrets(line, &program);
                    text.lock().unwrap_or_else(PoisonError::into_inner).hear(&line);
                })
                .await;
            })
        });
        Self { text, listener }
    }

    /// All of it, once the process has ended.
    pub async fn end(&mut self) -> String {
        if let Some(listener) = self.listener.take() {
            let _ = tokio::time::timeout(PATIENCE, listener).await;
        }
        self.text.lock().unwrap_or_else(PoisonError::into_inner).text()
    }
}

/// FFmpeg repeats the URL it cannot open, with its password.
fn without_secrets(line: &str, ffmpeg: &Path) -> String {
    let mut out = String::with_capacity(line.len());
    for word in line.split(' ') {
        if !out.is_empty() {
            out.push(' ');
        }
        match word.find("://") {
            Some(_) => out.push_str("<url>"),
            None => out.push_str(word),
        }
    }
    match ffmpeg.to_str().filter(|path| path.len() > 6) {
        Some(path) => out.replace(path, "ffmpeg"),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_urls_and_our_paths() {
        let said = "/opt/x/ffmpeg: rtsp://u:hidden@127.0.0.1:8554/camera0: Connection refused";
        assert_eq!(without_secrets(said, Path::new("/opt/x/ffmpeg")), "ffmpeg: <url> Connection refused");
    }
}
