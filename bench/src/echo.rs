//! The least an HTTP server on the same libraries can cost: it reads each body and answers with
//! one of a given length, at once.

use std::convert::Infallible;
use std::net::TcpStream;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::Failure;

/// Serves until it is ended; prints its address first, as one line of JSON. Threads as the
/// gateway's server has them: each with a runtime of its own, to which connections go in turn.
pub(crate) fn echo(answer_bytes: usize) -> Result<serde_json::Value, Failure> {
    let body = Bytes::from(vec![b' '; answer_bytes]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    println!("{}", serde_json::json!({ "address": listener.local_addr()?.to_string() }));
    let threads = std::thread::available_parallelism()?.get();
    let seats = (0..threads).map(|_| seat(&body)).collect::<Result<Vec<_>, _>>()?;
    for seat in seats.iter().cycle() {
        seat.send(listener.accept()?.0)?;
    }
    Err("there are no threads".into())
}

/// A thread that serves the connections it is sent.
fn seat(body: &Bytes) -> Result<UnboundedSender<TcpStream>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (seat, mut connections) = unbounded_channel();
    let body = body.clone();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            while let Some(stream) = connections.recv().await {
                tokio::spawn(serve(stream, body.clone()));
            }
        });
    });
    Ok(seat)
}

async fn serve(stream: TcpStream, body: Bytes) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let io = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
    let service = service_fn(|request| answer(request, body.clone()));
    Ok(http1::Builder::new().serve_connection(io, service).await?)
}

async fn answer(
    request: Request<Incoming>,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = match request.into_body().collect().await {
        Ok(_) => Response::new(Full::new(body)),
        Err(_) => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    };
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}
