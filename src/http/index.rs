//! `GET /`: what this is and how to log in.

use hyper::header::ACCEPT;
use hyper::{Method, Request, Response, StatusCode};

use super::answer::{self, Body};
use crate::rpc::Reached;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn answer<B>(request: &Request<B>, reached: &Reached) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer::refusal(StatusCode::METHOD_NOT_ALLOWED, "this page can only be read", "use GET");
    }
    let authority = format!("{}:{}", reached.host, reached.port);
    let [ws, http] = reached.schemes();
    let socket = format!("{ws}://{authority}/ws");
    let wants_json = request
        .headers()
        .get_all(ACCEPT)
        .iter()
        .any(|a| a.to_str().is_ok_and(|a| a.contains("application/json")));
    if wants_json {
        return answer::json(
            StatusCode::OK,
            &serde_json::json!({
                "name": "fieldcam",
                "version": VERSION,
                "websocket": socket,
                "login": {"method": "authenticate", "params": {"auth_token": "TOKEN"}},
                "live": format!("{http}://{authority}/live/camera0"),
                "token": "fieldcam token --role viewer|operator|admin",
            }),
        );
    }
    answer::text(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        format!(
            "Fieldcam {VERSION}, a camera box.\n\n\
             It speaks JSON-RPC 2.0 over WebSocket at {socket}\n\
             Make a token on the box:  fieldcam token --role viewer|operator|admin\n\
             Log in with it:           {{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"authenticate\",\
             \"params\":{{\"auth_token\":\"TOKEN\"}}}}\n\
             Or from a shell:          FIELDCAM_TOKEN=TOKEN fieldcam ctl --host {authority} cameras\n\
             Watch in a browser:       {http}://{authority}/live/camera0\n\
             Pictures for a page:      {http}://{authority}/cameras/camera0/frame.jpg and …/stream.mjpeg\n"
        ),
    )
}
