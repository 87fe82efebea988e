//! One keep-alive connection to the server under load.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Reconnects by itself after the server closed it.
pub(crate) struct Connection {
    target: Target,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// Where requests go. Plain HTTP only: the generator measures a server, not a TLS library.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    authority: String,
    path: String,
}

impl Target {
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse()?;
        anyhow::ensure!(
            uri.scheme_str() == Some("http"),
            "{url}: only http:// URLs can be loaded; put TLS in front of the server, not of the measurement"
        );
        let host = uri.host().ok_or_else(|| anyhow::anyhow!("{url} names no host"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self {
            authority: format!("{host}:{}", uri.port_u16().unwrap_or(80)),
            path,
        })
    }
}

impl Connection {
    #[must_use]
    pub(crate) fn new(target: Target) -> Self {
        Self { target, sender: None }
    }

    /// Status and body of the answer to a POST of JSON.
    pub(crate) async fn post(&mut self, body: Bytes) -> anyhow::Result<(u16, Bytes)> {
        let result = self.try_post(body).await;
        if result.is_err() {
            self.sender = None;
        }
        result
    }

    async fn try_post(&mut self, body: Bytes) -> anyhow::Result<(u16, Bytes)> {
        let request = Request::post(self.target.path.as_str())
            .header(header::HOST, self.target.authority.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-openrtb-version", "2.6")
            .body(Full::new(body))?;
        let response = self.ready().await?.send_request(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    async fn ready(&mut self) -> anyhow::Result<&mut SendRequest<Full<Bytes>>> {
        let reusable = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !reusable {
            self.sender = Some(self.connect().await?);
        }
        self.sender
            .as_mut()
            .ok_or_else(|| anyhow::anyhow!("not connected"))
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.target.authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends by itself when either side closes; the next request tells what went wrong.
        tokio::spawn(connection);
        Ok(sender)
    }
}
