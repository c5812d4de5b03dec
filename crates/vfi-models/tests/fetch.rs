//! Fetching, against a small server of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

mod common;

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Home, network, sha256};
use sevenz_rust2::{ArchiveEntry, ArchiveWriter};

const MEMBER: &str = "rife_v2/rife_v4.25.onnx";

/// Reply of the server to one request.
#[derive(Clone)]
enum Reply {
    /// As asked for, with a range or not.
    Serve,
    /// So many bytes of what was asked for, and no more.
    Cut(usize),
    /// All of it, whatever was asked for.
    IgnoreRange,
    /// A status and nothing else.
    Status(&'static str),
}

/// The path and the range of a request.
type Asked = (String, Option<String>);

/// Serves one archive, with one reply a request; more requests are closed unanswered.
struct Server {
    address: String,
    /// Requests that were made.
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn new(archive: &[u8], replies: impl Into<VecDeque<Reply>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/models", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (archive, mut replies) = (archive.to_vec(), replies.into());
        let seen = Arc::clone(&asked);
        // it ends with the test's process
        thread::spawn(move || {
            for stream in listener.incoming() {
                if let (Ok(stream), Some(reply)) = (stream, replies.pop_front()) {
                    // who has enough may hang up
                    let _answered = answer(stream, &archive, &reply, &seen);
                }
            }
        });
        Self { address, asked }
    }

    fn ranges(&self) -> Vec<Option<String>> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(_, range)| range.clone()).collect()
    }
}

fn answer(
    mut stream: TcpStream,
    archive: &[u8],
    reply: &Reply,
    seen: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap()?;
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let mut range = None;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("range: ") {
            range = Some(value.to_owned());
        }
    }
    seen.lock().unwrap().push((path, range.clone()));
    let total = archive.len();
    let from = range
        .filter(|_| !matches!(reply, Reply::IgnoreRange))
        .map(|range| {
            range["bytes=".len()..range.len() - 1]
                .parse::<usize>()
                .unwrap()
        });
    let (status, header) = match (reply, from) {
        (Reply::Status(status), _) => {
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return stream.write_all(head.as_bytes());
        }
        (_, Some(from)) if from >= total => {
            let head = format!(
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{total}\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return stream.write_all(head.as_bytes());
        }
        (_, Some(from)) => (
            "206 Partial Content",
            format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1),
        ),
        (_, None) => ("200 OK", String::new()),
    };
    let body = &archive[from.unwrap_or(0)..];
    let head = format!(
        "HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    match reply {
        Reply::Cut(count) => stream.write_all(&body[..*count]),
        _ => stream.write_all(body),
    }
}

/// A 7z archive of these files, compressed together.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(std::io::Cursor::new(Vec::new())).unwrap();
    let entries = files.iter().map(|(name, _)| ArchiveEntry::new_file(name));
    let readers = files.iter().map(|(_, bytes)| (*bytes).into());
    writer
        .push_archive_entries(entries.collect(), readers.collect())
        .unwrap();
    writer.finish().unwrap().into_inner()
}

/// The archive as it is published: the wanted file is not the only one.
fn make_archive() -> Vec<u8> {
    let (other, wanted) = (network(11), network(7));
    archive(&[
        ("rife/rife_v4.25.onnx", &other),
        (MEMBER, &wanted),
        ("rife_v2/readme.txt", b"about"),
    ])
}

fn fetch(home: &Home, server: &Server, archive: &[u8]) -> Output {
    command(home, server, &sha256(archive)).output().unwrap()
}

fn command(home: &Home, server: &Server, sum: &str) -> Command {
    let mut command = home.command();
    command.args([
        "fetch",
        "rife-4.25",
        "--from",
        &server.address,
        "--sha256",
        sum,
    ]);
    command
}

fn partial(home: &Home) -> PathBuf {
    home.models().join("rife_v4.25.7z.partial")
}

fn assert_installed(home: &Home, output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
    assert_eq!(home.files(), ["rife_v4.25.onnx", "rife_v4.25.onnx.sha256"]);
    let bytes = fs::read(home.models().join("rife_v4.25.onnx")).unwrap();
    assert!(bytes == network(7));
    let sum = fs::read_to_string(home.models().join("rife_v4.25.onnx.sha256")).unwrap();
    assert_eq!(sum, format!("{}  rife_v4.25.onnx\n", sha256(&bytes)));
}

fn assert_refused(home: &Home, output: &Output, parts: &[&str]) {
    let message = stderr(output);
    assert!(!output.status.success(), "it succeeded: {message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert_eq!(home.files(), [""; 0], "nothing is left");
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_network_is_fetched_checked_and_put_in_its_place() {
    let (home, archive) = (Home::new(), make_archive());
    let server = Server::new(&archive, [Reply::Serve]);
    assert_installed(&home, &fetch(&home, &server, &archive));
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked, [("/models/rife_v4.25.7z".to_owned(), None)]);
    // once is enough
    let again = fetch(&home, &server, &archive);
    assert!(String::from_utf8_lossy(&again.stdout).contains("is here already"));
    assert_eq!(server.ranges().len(), 1);
    let info = home
        .command()
        .args(["info", "rife_v4.25"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(
        text.contains("7 channels") && text.contains("MIT"),
        "{text}"
    );
}

#[test]
fn a_wrong_sum_is_refused_with_both_sums() {
    let (home, archive) = (Home::new(), make_archive());
    let server = Server::new(&archive, [Reply::Serve]);
    let expected = "0123456789abcdef".repeat(4);
    let output = command(&home, &server, &expected).output().unwrap();
    assert_refused(&home, &output, &[&expected, &sha256(&archive)]);
}

#[test]
fn a_transfer_that_is_cut_is_gone_on_with() {
    let (home, archive) = (Home::new(), make_archive());
    let server = Server::new(&archive, [Reply::Cut(1000), Reply::Cut(500), Reply::Serve]);
    assert_installed(&home, &fetch(&home, &server, &archive));
    let expected = [None, Some("bytes=1000-"), Some("bytes=1500-")];
    assert_eq!(
        server.ranges(),
        expected.map(|range| range.map(str::to_owned))
    );
}

#[test]
fn the_next_command_goes_on_where_the_last_one_failed() {
    let (home, archive) = (Home::new(), make_archive());
    let cut = [Reply::Cut(1000), Reply::Status("503 Service Unavailable")];
    let server = Server::new(&archive, cut);
    let output = fetch(&home, &server, &archive);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("503 Service Unavailable"));
    assert!(fs::read(partial(&home)).unwrap() == archive[..1000]);
    let server = Server::new(&archive, [Reply::Serve]);
    assert_installed(&home, &fetch(&home, &server, &archive));
    assert_eq!(server.ranges(), [Some("bytes=1000-".to_owned())]);
}

#[test]
fn a_server_that_ignores_ranges_sends_all_again() {
    let (home, archive) = (Home::new(), make_archive());
    let server = Server::new(&archive, [Reply::Cut(1000), Reply::IgnoreRange]);
    assert_installed(&home, &fetch(&home, &server, &archive));
    assert_eq!(server.ranges().len(), 2);
}

#[test]
fn what_is_left_of_another_archive_is_fetched_anew() {
    let (home, archive) = (Home::new(), make_archive());
    fs::create_dir_all(home.models()).unwrap();
    fs::write(partial(&home), [7; 100]).unwrap();
    let server = Server::new(&archive, [Reply::Serve, Reply::Serve]);
    assert_installed(&home, &fetch(&home, &server, &archive));
    assert_eq!(server.ranges(), [Some("bytes=100-".to_owned()), None]);
}

#[test]
fn what_is_longer_than_the_archive_is_fetched_anew() {
    let (home, archive) = (Home::new(), make_archive());
    fs::create_dir_all(home.models()).unwrap();
    fs::write(partial(&home), vec![7; archive.len() + 1]).unwrap();
    let server = Server::new(&archive, [Reply::Serve, Reply::Serve]);
    assert_installed(&home, &fetch(&home, &server, &archive));
}

#[test]
fn an_archive_that_is_all_there_is_not_sent_again() {
    let (home, archive) = (Home::new(), make_archive());
    fs::create_dir_all(home.models()).unwrap();
    fs::write(partial(&home), &archive).unwrap();
    let server = Server::new(&archive, [Reply::Serve]);
    assert_installed(&home, &fetch(&home, &server, &archive));
}

#[test]
fn what_the_server_refuses_is_said_in_its_words() {
    let home = Home::new();
    let server = Server::new(b"", [Reply::Status("404 Not Found")]);
    let output = fetch(&home, &server, b"");
    let url = format!("{}/rife_v4.25.7z", server.address);
    assert_refused(&home, &output, &[&url, "404 Not Found"]);
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let home = Home::new();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let from = format!("http://{}", unused.unwrap());
    let mut command = home.command();
    let output = command
        .args(["fetch", "rife-4.25", "--from", &from])
        .output();
    let message = stderr(&output.unwrap());
    assert!(message.contains(&from), "{message}");
    assert!(message.contains("refused"), "{message}");
}

#[test]
fn an_archive_without_the_network_says_what_it_has() {
    let (home, wanted) = (Home::new(), network(7));
    let archive = archive(&[("rife/rife_v4.25.onnx", &wanted), ("readme.txt", b"about")]);
    let server = Server::new(&archive, [Reply::Serve]);
    let output = fetch(&home, &server, &archive);
    assert_refused(
        &home,
        &output,
        &[MEMBER, "rife/rife_v4.25.onnx, readme.txt"],
    );
}

#[test]
fn no_name_in_an_archive_is_a_place_on_this_machine() {
    let (home, wanted) = (Home::new(), network(7));
    let outside = home.path().join("outside.onnx");
    let absolute = outside.to_str().unwrap();
    let names = ["../../../outside.onnx", "../outside.onnx", absolute];
    let climbing = "rife_v2/../rife_v2/rife_v4.25.onnx";
    let mut files: Vec<(&str, &[u8])> = names.map(|name| (name, wanted.as_slice())).to_vec();
    files.push((climbing, &wanted));
    let only_outside = archive(&files);
    let server = Server::new(&only_outside, [Reply::Serve]);
    assert_refused(&home, &fetch(&home, &server, &only_outside), &[MEMBER]);
    files.push((MEMBER, &wanted));
    let both = archive(&files);
    let server = Server::new(&both, [Reply::Serve]);
    assert_installed(&home, &fetch(&home, &server, &both));
    assert!(!outside.exists());
    let folders = fs::read_dir(home.path()).unwrap().count();
    assert_eq!(folders, 1, "only vfiinterp/ is there");
}

#[test]
fn what_is_no_archive_or_no_network_is_refused() {
    let home = Home::new();
    let page = b"<html>Please log in</html>";
    let server = Server::new(page, [Reply::Serve]);
    assert_refused(&home, &fetch(&home, &server, page), &["no 7z archive"]);
    let archive = archive(&[(MEMBER, b"Dear network")]);
    let server = Server::new(&archive, [Reply::Serve]);
    let output = fetch(&home, &server, &archive);
    assert_refused(&home, &output, &[MEMBER, "not an ONNX file"]);
}

#[test]
fn a_damaged_archive_is_refused() {
    let (home, mut archive) = (Home::new(), make_archive());
    let middle = archive.len() / 2;
    archive[middle] ^= 0xff;
    let server = Server::new(&archive, [Reply::Serve]);
    assert_refused(&home, &fetch(&home, &server, &archive), &["cannot be used"]);
}

#[test]
fn two_at_once_fetch_it_once() {
    let (home, archive) = (Home::new(), make_archive());
    let server = Server::new(&archive, [Reply::Serve, Reply::Serve]);
    let sum = sha256(&archive);
    let children = [0, 1].map(|_| {
        let mut command = command(&home, &server, &sum);
        command.stdout(std::process::Stdio::null());
        command.spawn().unwrap()
    });
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(home.files(), ["rife_v4.25.onnx", "rife_v4.25.onnx.sha256"]);
    assert_eq!(server.ranges().len(), 1);
}

#[test]
fn a_file_that_changed_is_noticed_and_fetched_again() {
    let (home, archive) = (Home::new(), make_archive());
    let server = Server::new(&archive, [Reply::Serve, Reply::Serve]);
    assert_installed(&home, &fetch(&home, &server, &archive));
    let place = home.models().join("rife_v4.25.onnx");
    let mut bytes = fs::read(&place).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&place, &bytes).unwrap();
    let info = home.command().args(["info", "rife-4.25"]).output().unwrap();
    for part in [
        sha256(&bytes),
        sha256(&network(7)),
        "vfi-models fetch rife-4.25".into(),
    ] {
        assert!(
            stderr(&info).contains(&part),
            "`{part}` is not in: {}",
            stderr(&info)
        );
    }
    assert_installed(&home, &fetch(&home, &server, &archive));
}

#[test]
fn names_that_cannot_be_fetched_are_explained() {
    let home = Home::new();
    for (name, part) in [("vfi-lite", "comes with the plugin"), ("rife", "rife-4.25")] {
        let output = home.command().args(["fetch", name]).output().unwrap();
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    let output = home
        .command()
        .args(["fetch", "rife-4.25", "--sha256", "12"])
        .output();
    assert!(stderr(&output.unwrap()).contains("64 hexadecimal digits"));
}
