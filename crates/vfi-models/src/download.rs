//! A file over HTTP that goes on where it was cut.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use ureq::Agent;
use ureq::http::{Response, header};
use ureq::tls::{RootCerts, TlsConfig};

use crate::size;

/// No archive of a network is near this; a server that sends more is refused.
const MAX_BYTES: u64 = 1 << 30;
/// A server that is silent for longer is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Number of times that a transfer that was cut is gone on with; only while something comes.
const ATTEMPTS: usize = 5;

/// Fetches `url` into `place`, of which what is there already is kept if the server can go on from
/// it. What came stays there if it ends in an error. Returns whether anything was kept.
pub(crate) fn download(url: &str, place: &Path) -> Result<bool> {
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(place)
        .with_context(|| format!("cannot write {}", place.display()))?;
    let agent = agent();
    let mut resumed = false;
    for _ in 0..ATTEMPTS {
        let before = length(&file)?;
        let transfer = start(&agent, url, before)?;
        match &transfer {
            Transfer::Complete => return Ok(before > 0),
            Transfer::Rest(_) => resumed |= before > 0,
            Transfer::Whole(_) => file.set_len(0)?,
        }
        let (Transfer::Rest(response) | Transfer::Whole(response)) = transfer else {
            continue;
        };
        let from = length(&file)?;
        let end = receive(response, &mut file)?;
        let now = length(&file)?;
        match end {
            End::Whole => return Ok(resumed),
            End::Cut(why) if now == from => {
                bail!("the transfer of {url} was cut at {}: {why}", size(now))
            }
            End::Cut(_) => {}
        }
    }
    bail!(
        "the transfer of {url} was cut again and again, at last at {}: the same command goes on from there",
        size(length(&file)?)
    )
}

fn agent() -> Agent {
    Agent::config_builder()
        // the system's certificates, which know a company's own proxy
        .tls_config(
            TlsConfig::builder()
                .root_certs(RootCerts::PlatformVerifier)
                .build(),
        )
        .http_status_as_error(false)
        .user_agent(concat!("vfi-models/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .build()
        .into()
}

fn length(file: &File) -> Result<u64> {
    Ok(file.metadata()?.len())
}

/// Reply that the server is about to send.
enum Transfer {
    /// The rest, which follows what is there.
    Rest(Response<ureq::Body>),
    /// All of it, from the start.
    Whole(Response<ureq::Body>),
    /// Nothing: all is there.
    Complete,
}

fn start(agent: &Agent, url: &str, from: u64) -> Result<Transfer> {
    let mut request = agent.get(url);
    if from > 0 {
        request = request.header(header::RANGE, format!("bytes={from}-"));
    }
    let response = request
        .call()
        .with_context(|| format!("cannot fetch {url}"))?;
    let range = response
        .headers()
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let status = response.status();
    match (status.as_u16(), range) {
        (200, _) => Ok(Transfer::Whole(response)),
        (206, Some(range)) if range.starts_with(&format!("bytes {from}-")) => {
            Ok(Transfer::Rest(response))
        }
        // it has no more than we have
        (416, Some(range)) if range == format!("bytes */{from}") => Ok(Transfer::Complete),
        (206 | 416, _) if from > 0 => start(agent, url, 0),
        (code, _) => {
            let reason = status.canonical_reason().unwrap_or("an unknown status");
            bail!("{url}: the server answers {code} {reason}")
        }
    }
}

/// End of a transfer.
enum End {
    Whole,
    Cut(io::Error),
}

/// Appends what comes to the file.
fn receive(mut response: Response<ureq::Body>, file: &mut File) -> Result<End> {
    let from = file.seek(SeekFrom::End(0))?;
    let total = response.body().content_length().map(|rest| from + rest);
    let too_large =
        |bytes: u64| format!("the server sends {}, which no network needs", size(bytes));
    if let Some(total) = total.filter(|&total| total > MAX_BYTES) {
        bail!(too_large(total));
    }
    let bar = progress(total);
    bar.set_position(from);
    let mut body = response.body_mut().as_reader().take(MAX_BYTES - from + 1);
    let mut buffer = vec![0; 64 << 10];
    let mut position = from;
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(End::Cut(error)),
        };
        file.write_all(&buffer[..count])
            .context("cannot write what was fetched")?;
        position += count as u64;
        bar.set_position(position);
    }
    bar.finish_and_clear();
    if position > MAX_BYTES {
        bail!(too_large(position));
    }
    match total {
        Some(total) if position < total => {
            let missing = format!("{} of {}", size(position), size(total));
            Ok(End::Cut(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                missing,
            )))
        }
        _ => Ok(End::Whole),
    }
}

/// A bar on the terminal, if there is one.
fn progress(total: Option<u64>) -> ProgressBar {
    const WITH_TOTAL: &str =
        "{bar:40} {decimal_bytes:>9} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
    const WITHOUT: &str = "{spinner} {decimal_bytes}, {decimal_bytes_per_sec}";
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), WITH_TOTAL),
        None => (ProgressBar::new_spinner(), WITHOUT),
    };
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}
