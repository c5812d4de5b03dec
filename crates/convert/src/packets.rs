//! Encoded video in a file of its own: every packet with its exact times, so that nothing is
//! rounded between the encoder and the container.
//!
//! A packet is its PTS, DTS and duration in ns, whether it is a keyframe, its length, its bytes.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Longest packet that is believed: what claims more is a damaged file.
const LONGEST: u64 = 1 << 30;

/// Bytes before those of the packet itself.
const HEADER: usize = 33;

/// An encoded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) duration: u64,
    pub(crate) is_key: bool,
    pub(crate) data: Vec<u8>,
}

/// Writes a packet.
pub(crate) fn write(file: &mut File, packet: &Packet) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(HEADER + packet.data.len());
    bytes.extend(packet.pts.to_le_bytes());
    bytes.extend(packet.dts.to_le_bytes());
    bytes.extend(packet.duration.to_le_bytes());
    bytes.push(u8::from(packet.is_key));
    bytes.extend((packet.data.len() as u64).to_le_bytes());
    bytes.extend(&packet.data);
    file.write_all(&bytes)
}

/// The packets of a file, one after another.
#[derive(Debug)]
pub(crate) struct Packets(BufReader<File>);

impl Packets {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self(BufReader::with_capacity(1 << 20, file)))
    }

    fn read(&mut self) -> Result<Option<Packet>> {
        let mut header = [0; HEADER];
        match self.0.read_exact(&mut header[..1]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        self.0.read_exact(&mut header[1..])?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&header[at..at + 8]);
            word
        };
        let length = u64::from_le_bytes(word(25));
        if length > LONGEST {
            bail!("a packet of {length} bytes: the file is damaged");
        }
        let mut data = vec![0; length as usize];
        self.0.read_exact(&mut data)?;
        Ok(Some(Packet {
            pts: i64::from_le_bytes(word(0)),
            dts: i64::from_le_bytes(word(8)),
            duration: u64::from_le_bytes(word(16)),
            is_key: header[24] != 0,
            data,
        }))
    }
}

impl Iterator for Packets {
    type Item = Result<Packet>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read()
            .context("an encoded segment cannot be read")
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_as_they_were_written_and_a_cut_one_is_an_error() {
        let packet = |pts: i64| Packet {
            pts,
            dts: pts - 100,
            duration: 7,
            is_key: pts == 0,
            data: vec![pts as u8; 5],
        };
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut file = File::create(path.path()).unwrap();
        let packets = [packet(0), packet(40), packet(20)];
        for packet in &packets {
            write(&mut file, packet).unwrap();
        }
        let read: Result<Vec<_>> = Packets::open(path.path()).unwrap().collect();
        assert_eq!(read.unwrap(), packets);
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        let read: Result<Vec<_>> = Packets::open(path.path()).unwrap().collect();
        assert!(read.is_err());
    }
}
