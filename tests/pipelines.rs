//! The scripts in `examples/pipelines/` on real input, with this build's plugin.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Ends the test as skipped, in words, where a program is missing.
macro_rules! needs {
    ($($program:literal),+) => {
        for program in [$($program),+] {
            if !found(program) {
                println!("SKIPPED: {program} is missing");
                return;
            }
        }
    };
}

fn found(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// A folder of a test's own, in which the scripts run.
struct Place(tempfile::TempDir);

/// Counts by ffprobe of one file.
#[derive(Debug)]
struct Contents {
    frames: usize,
    rate: String,
    seconds: f64,
    sound: Option<f64>,
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a file with ffmpeg, from words parted by spaces.
    fn make(&self, words: &str) {
        let output = self
            .command("ffmpeg", &format!("-v error -y {words}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn command(&self, program: &str, words: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(words.split_whitespace())
            .current_dir(self.0.path());
        command
    }

    /// A script with this build's plugin, without a screen.
    fn script(&self, name: &str, words: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("examples/pipelines")
            .join(name);
        let mut command = self.command(script.to_str().unwrap(), words);
        command
            .env(
                "GST_PLUGIN_PATH",
                std::env::current_exe().unwrap().parent().unwrap(),
            )
            .env("GST_REGISTRY", self.path("registry"))
            .env("LC_ALL", "C")
            .env_remove("G_DEBUG")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        command
    }

    fn run(&self, name: &str, words: &str) {
        succeed(&mut self.script(name, words));
    }

    fn contents(&self, name: &str) -> Contents {
        let entries = "stream=codec_type,nb_read_frames,r_frame_rate,duration";
        let words = format!("-v error -count_frames -of csv=p=0 -show_entries {entries} {name}");
        let output = self.command("ffprobe", &words).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = |kind: &str| {
            let line = text.lines().find(|line| line.starts_with(kind))?;
            Some(line.split(',').map(str::to_owned).collect::<Vec<_>>())
        };
        let video = line("video").unwrap_or_else(|| panic!("{name} has no video: {text}"));
        Contents {
            rate: video[1].clone(),
            seconds: video[2].parse().unwrap_or(f64::NAN),
            frames: video[3].parse().unwrap(),
            sound: line("audio").map(|audio| audio[2].parse().unwrap_or(f64::NAN)),
        }
    }

    /// Three files: one at 24 frames a second with sound, one silent at 25, one interlaced at 25.
    fn films(&self) {
        let picture = "-f lavfi -i testsrc2=size=160x96";
        let sound = "-f lavfi -i sine";
        self.make(&format!(
            "{picture}:rate=24 {sound} -t 1 -c:v libx264 -c:a aac film.mp4"
        ));
        self.make(&format!("{picture}:rate=25 -t 1 -c:v libx264 silent.mp4"));
        let fields = "-vf interlace -c:v libx264 -flags +ildct+ilme";
        self.make(&format!("{picture}:rate=50 -t 1 {fields} fields.mp4"));
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs what must fail, and returns its one line of complaint.
fn complaint(command: &mut Command) -> String {
    let output: Output = command.output().unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// A port that is free now.
fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn convert_keeps_sound_and_takes_silent_and_interlaced_files() {
    needs!("ffmpeg", "ffprobe");
    let place = Place::new();
    place.films();
    for (name, has_sound) in [("film", true), ("silent", false), ("fields", false)] {
        place.run("convert.sh", &format!("{name}.mp4 {name}-60.mp4"));
        let made = place.contents(&format!("{name}-60.mp4"));
        assert_eq!(
            (made.frames, made.rate.as_str()),
            (60, "60/1"),
            "{name}: {made:?}"
        );
        assert_eq!(made.sound.is_some(), has_sound, "{name}: {made:?}");
        // AAC comes in packets of 1024 samples, of which the last is filled up
        let apart = made.sound.map_or(0.0, |sound| (sound - made.seconds).abs());
        assert!(apart < 0.05, "{name}: {made:?}");
    }
}

#[test]
fn slow_motion_finds_the_rate_of_the_file() {
    needs!("ffmpeg", "ffprobe");
    let place = Place::new();
    place.films();
    for (name, rate, frames) in [
        ("film", "24/1", 96),
        ("silent", "25/1", 100),
        ("fields", "50/1", 200),
    ] {
        place.run("slow-motion.sh", &format!("{name}.mp4 slow.mp4"));
        let made = place.contents("slow.mp4");
        assert_eq!(
            (made.rate.as_str(), made.frames),
            (rate, frames),
            "{name}: {made:?}"
        );
    }
}

#[test]
fn files_without_a_screen_play_and_stand_side_by_side() {
    needs!("ffmpeg", "ffprobe");
    let place = Place::new();
    place.films();
    for name in ["film.mp4", "fields.mp4"] {
        succeed(place.script("play.sh", name).env("SINK", "fakesink"));
    }
    place.run("side-by-side.sh", "fields.mp4 both.mp4");
    assert_eq!(place.contents("both.mp4").frames, 60);
    place.run("strip.sh", "fields.mp4 strip.png 5");
    assert!(place.path("strip.png").metadata().unwrap().len() > 1000);
}

#[test]
fn pictures_come_out_as_pictures() {
    needs!("ffmpeg");
    let place = Place::new();
    place.make("-f lavfi -i testsrc2=size=104x152:rate=16 -frames:v 9 in_%04d.png");
    place.run("pictures.sh", "in_%04d.png out_%04d.png");
    // the last picture is shown twice, so that all last as long as before
    let made = |number: usize| place.path(&format!("out_{number:04}.png")).is_file();
    assert!((1..=18).all(made));
    assert!(!made(0) && !made(19));
}

#[test]
fn hdr_stays_in_ten_bits_with_its_colours() {
    needs!("ffmpeg", "ffprobe");
    let place = Place::new();
    place.make(
        "-f lavfi -i testsrc2=size=160x96:rate=24 -t 1 -pix_fmt yuv420p10le -c:v libx265 -x265-params \
         log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc hdr.mp4",
    );
    place.run("hdr.sh", "hdr.mp4 out.mp4");
    assert_eq!(place.contents("out.mp4").frames, 60);
    let words =
        "-v error -of csv=p=0 -show_entries stream=pix_fmt,color_transfer,color_primaries out.mp4";
    let seen = succeed(&mut place.command("ffprobe", words));
    assert_eq!(seen.trim(), "yuv420p10le,smpte2084,bt2020");
}

#[test]
fn two_elements_in_a_row_make_four_frames_of_one() {
    needs!("ffmpeg", "ffprobe");
    let place = Place::new();
    place.films();
    succeed(
        place
            .script("two-gpus.sh", "silent.mp4 out.mp4")
            .env("PROVIDER", "cpu"),
    );
    let made = place.contents("out.mp4");
    assert_eq!((made.frames, made.rate.as_str()), (100, "100/1"));
}

#[test]
fn a_test_picture_stands_in_for_a_camera() {
    needs!("gst-launch-1.0");
    let place = Place::new();
    let mut script = place.script("webcam.sh", "test");
    succeed(script.env("SINK", "fakesink").env("FRAMES", "15"));
}

/// ffmpeg, waiting for a stream that it writes into `received.mkv`.
fn receiver(place: &Place, input: &str) -> Child {
    let words = format!("-v error -y {input} -c copy received.mkv");
    place
        .command("ffmpeg", &words)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs restream.sh until the receiver takes what it sends, and returns what came.
fn restream(input: &str, target: &str, settings: &[(&str, &str)]) -> Contents {
    let place = Place::new();
    place.films();
    let mut receiver = receiver(&place, input);
    // who listens says so to nobody: until then, a connection is refused at once
    let sent = (0..20).any(|_| {
        let mut script = place.script("restream.sh", target);
        script
            .envs(settings.iter().copied())
            .output()
            .unwrap()
            .status
            .success()
    });
    if !sent {
        receiver.kill().unwrap();
    }
    receiver.wait().unwrap();
    assert!(sent, "nothing could be sent to {target}");
    place.contents("received.mkv")
}

#[test]
fn rtmp_carries_pictures_and_sound() {
    needs!("ffmpeg", "ffprobe");
    let url = format!("rtmp://127.0.0.1:{}/live/key", free_port());
    let came = restream(
        &format!("-f flv -listen 1 -i {url}"),
        &url,
        &[("FRAMES", "45")],
    );
    // originals always come; how many are made in between is up to the machine
    assert!((44..=90).contains(&came.frames), "{came:?}");
    assert!(came.sound.is_some(), "{came:?}");
}

#[test]
fn srt_carries_pictures_without_sound() {
    needs!("ffmpeg", "ffprobe");
    let port = free_port();
    let listener = format!("-i srt://127.0.0.1:{port}?mode=listener");
    let url = format!("srt://127.0.0.1:{port}");
    let came = restream(&listener, &url, &[("FRAMES", "45"), ("SOUND", "no")]);
    // what is under way when the sender hangs up is lost: SRT's latency, an eighth of a second
    assert!((30..=90).contains(&came.frames), "{came:?}");
    assert!(came.sound.is_none(), "{came:?}");
}

/// A screen of its own, gone when dropped.
struct Screen(Child);

impl Drop for Screen {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

#[test]
fn the_screen_is_recorded() {
    needs!("Xvfb", "ffprobe");
    let place = Place::new();
    let mut command = place.command("Xvfb", "-displayfd 1 -screen 0 160x96x24");
    let mut screen = Screen(
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut number = String::new();
    let output = screen.0.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut number).unwrap();
    let display = format!(":{}", number.trim());
    succeed(
        place
            .script("screen.sh", "out.mp4 10 1")
            .env("DISPLAY", display),
    );
    let made = place.contents("out.mp4");
    assert_eq!((made.frames, made.rate.as_str()), (20, "20/1"));
}

#[test]
fn missing_things_are_named() {
    needs!("gst-launch-1.0");
    let place = Place::new();
    let two = "nosuch.mp4 out.mp4";
    for name in [
        "convert.sh",
        "slow-motion.sh",
        "side-by-side.sh",
        "strip.sh",
        "hdr.sh",
        "two-gpus.sh",
    ] {
        let said = complaint(&mut place.script(name, two));
        assert!(said == "nosuch.mp4: no such file\n", "{name}: {said}");
    }
    for (name, words, wanted) in [
        ("play.sh", "nosuch.mp4", "nosuch.mp4: no such file"),
        (
            "pictures.sh",
            "in_%04d.png out_%04d.png",
            "in_0001.png: no such file",
        ),
        ("webcam.sh", "/dev/nosuch", "/dev/nosuch: no such camera"),
        ("webcam.sh", "test", "no display"),
        ("screen.sh", "out.mp4", "no display"),
        ("restream.sh", "http://server", "http://server: an address"),
    ] {
        let said = complaint(&mut place.script(name, words));
        assert!(said.starts_with(wanted), "{name}: {said}");
    }
    let said = complaint(place.script("convert.sh", two).env("VFI", "nosuchelement"));
    assert!(
        said.starts_with("GStreamer has no element nosuchelement"),
        "{said}"
    );
}

#[test]
fn without_arguments_usage_is_shown() {
    let place = Place::new();
    for name in [
        "convert.sh",
        "play.sh",
        "slow-motion.sh",
        "pictures.sh",
        "screen.sh",
        "hdr.sh",
        "two-gpus.sh",
    ] {
        let output = place.script(name, "").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(&format!("  {name} ")), "{name}: {text}");
    }
}
