//! `diag`: what tells how the box is, made there and saved here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_DISPOSITION};
use serde_json::json;
use tokio::time::timeout;

use super::host::Host;
use super::link::Link;
use super::range::target;
use super::{failure, screen, web};
use crate::base::units::show_size;
use crate::base::{Error, ErrorKind, Result};
use crate::diag::save;

/// The box has a limit of its own, which is shorter.
const PATIENCE: Duration = Duration::from_secs(150);
/// More than any box sends.
const MOST_BYTES: usize = 64 << 20;

/// Downloads the archive to `output`, or under its own name there or here.
pub async fn diag(link: &Link, output: Option<&Path>, json: bool) -> Result<()> {
    screen::remark("the box collects; this takes up to a minute");
    let headers = [(AUTHORIZATION, web::bearer(link)?)];
    let host = link.host();
    let (name, bytes) =
        web::get(host, "/diag", &headers, PATIENCE, async |answer| take(host, answer).await).await?;
    let file = target(output, &name, output.is_some_and(Path::is_dir))?;
    let size = bytes.len() as u64;
    write(file.clone(), bytes).await?;
    let file = file.display();
    if json {
        screen::line(&json!({ "saved_as": file.to_string(), "size": size }).to_string());
    } else {
        screen::line(&format!("{file}  {}", show_size(size)));
    }
    Ok(())
}

/// The archive's name and its bytes, all of them.
async fn take(host: &Host, answer: Response<Incoming>) -> Result<(String, Bytes)> {
    let status = answer.status().as_u16();
    if status == 404 {
        return Err(Error::new(ErrorKind::Unsupported, "This box's version has no diagnosis to download")
            .with("suggestion", "update the box, or run `fieldcam diag` on it"));
    }
    if status != 200 {
        return Err(web::refused(host, status, &web::said(host, answer).await?));
    }
    let name = answer.headers().get(CONTENT_DISPOSITION).and_then(|v| v.to_str().ok()).and_then(named);
    let name = name.unwrap_or("fieldcam-diag.tar.gz").to_owned();
    let mut body = answer.into_body();
    let mut bytes = BytesMut::new();
    loop {
        let frame = match timeout(web::SILENCE_LIMIT, body.frame()).await {
            Err(_) => return Err(failure::cut_off(host, "no more data")),
            // Less than was announced is an error of the connection.
            Ok(None) => return Ok((name, bytes.freeze())),
            Ok(Some(frame)) => frame.map_err(|e| failure::cut_off(host, &e.to_string()))?,
        };
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > MOST_BYTES {
                return Err(failure::cut_off(host, "it sends without an end"));
            }
            bytes.extend_from_slice(&data);
        }
    }
}

/// The name in `attachment; filename="NAME"`.
fn named(disposition: &str) -> Option<&str> {
    disposition.strip_prefix("attachment; filename=\"")?.strip_suffix('"')
}

async fn write(file: PathBuf, bytes: Bytes) -> Result<()> {
    tokio::task::spawn_blocking(move || save(&file, &bytes)).await.map_err(Error::internal)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[test]
    fn the_boxs_name_for_it_is_taken() {
        assert_eq!(named("attachment; filename=\"a.tar.gz\""), Some("a.tar.gz"));
        assert_eq!(named("inline"), None);
    }

    #[tokio::test]
    async fn what_comes_torn_is_no_archive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Host::local(Some(listener.local_addr().unwrap().port()));
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123").await.unwrap();
        };
        let asked = web::get(&host, "/diag", &[], PATIENCE, async |answer| take(&host, answer).await);
        let (outcome, ()) = tokio::join!(asked, serve);
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::DependencyFailed);
    }
}
