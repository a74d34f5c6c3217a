//! `--metrics ADDR:PORT`: metrics over HTTP, from a thread of their own. Whoever asks, and however, delays no other part
//! of the program: what is asked for is bounded in number, in time and in size.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::TEXT_FORMAT;
use tokio::net::{self, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use super::with_totals;
use crate::ebpf::maps::PinnedMaps;
use crate::error::{Failure, OrFail as _};
use crate::events::totals::{EndedBytes, Totals};
use crate::pins::Pins;
use crate::query;

/// Connections at a time; more wait in the kernel.
const CONNECTIONS: usize = 16;
/// How long one may take in all. Prometheus itself waits 10 s for its answer.
const LONGEST: Duration = Duration::from_secs(10);
/// How long a request's head may take to come.
const HEAD: Duration = Duration::from_secs(2);
/// How much of a request is looked at.
const LARGEST: usize = 8192;
/// How long an answer is given again: reading the maps costs more than asking.
const FRESH: Duration = Duration::from_secs(1);
/// How long after a connection could not be accepted (no descriptor is left, say) it is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// The address, taken.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Takes an address, before anything else is done.
    ///
    /// # Errors
    ///
    /// It can't be had.
    pub fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let given = format!("--metrics {address}");
        let listener = TcpListener::bind(address).or_fail(&given, "give an address of this host and a free port")?;
        listener.set_nonblocking(true).or_fail(given, "report this")?;
        Ok(Self { listener })
    }

    /// Answers from now on, as long as the process lives. `ended_bytes`: where this process's reader of events counts.
    ///
    /// # Errors
    ///
    /// A thread can't be had.
    pub fn start(self, pin_dir: PathBuf, ended_bytes: Arc<EndedBytes>) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.or_fail("--metrics", "free some memory or descriptors")?;
        let serve = move || {
            let Err(error) = LocalSet::new().block_on(&runtime, serve(self.listener, Page::new(pin_dir, ended_bytes)));
            log::warn!("metrics can't be served any more ({error}): the filter stays attached");
        };
        thread::Builder::new().name("metrics".to_owned()).spawn(serve).or_fail("--metrics", "free some memory")?;
        Ok(())
    }
}

async fn serve(listener: TcpListener, page: Page) -> std::io::Result<Infallible> {
    let listener = net::TcpListener::from_std(listener)?;
    let places = Rc::new(Semaphore::new(CONNECTIONS));
    let page = Rc::new(Mutex::new(page));
    loop {
        // Never closed.
        let place = Rc::clone(&places);
        let permit = place.acquire().await.map_err(std::io::Error::other)?;
        match listener.accept().await {
            Ok((stream, _)) => {
                permit.forget();
                let (places, page) = (Rc::clone(&places), Rc::clone(&page));
                spawn_local(async move {
                    // However it ends.
                    let _ = timeout(LONGEST, converse(stream, &page)).await;
                    places.add_permits(1);
                });
            }
            Err(_) => sleep(RETRY).await,
        }
    }
}

/// One request, one answer.
async fn converse(stream: TcpStream, page: &Mutex<Page>) -> Result<(), hyper::Error> {
    let answer = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, page).await) });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LARGEST).keep_alive(false);
    http.serve_connection(TokioIo::new(stream), answer).await
}

async fn answer(request: &Request<Incoming>, page: &Mutex<Page>) -> Response<Full<Bytes>> {
    let plain = |status: StatusCode, text: &str| {
        let mut response = Response::new(Full::from(format!("{text}\n")));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "ftptrack: ask for /metrics");
    }
    // hyper sends no body in answer to HEAD.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "ftptrack: GET /metrics");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match page.lock().await.text().await {
        Ok(text) => {
            let mut response = Response::new(Full::from(text));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT_FORMAT));
            response
        }
        Err(failure) => plain(StatusCode::SERVICE_UNAVAILABLE, &failure.to_string()),
    }
}

/// What is answered, made anew when it is old.
struct Page {
    pin_dir: PathBuf,
    totals: Totals,
    made: Option<(Instant, Bytes)>,
}

impl Page {
    fn new(pin_dir: PathBuf, ended_bytes: Arc<EndedBytes>) -> Self {
        let flows = Pins::attached(&pin_dir).and_then(|pins| query::flow_entries(PinnedMaps::new(&pins)));
        let totals = Totals::since(ended_bytes, &flows.unwrap_or_default());
        Self { pin_dir, totals, made: None }
    }

    async fn text(&mut self) -> Result<Bytes, Failure> {
        match &self.made {
            Some((when, text)) if when.elapsed() < FRESH => Ok(text.clone()),
            _ => {
                let text = Bytes::from(with_totals(&self.pin_dir, Some(&mut self.totals)).await?);
                self.made = Some((Instant::now(), text.clone()));
                Ok(text)
            }
        }
    }
}
