//! Tensors whose values lie in files beside the model's, as exporters write them.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use bytes::Bytes;

use super::bounds::MAX_FILE_BYTES;
use super::proto::TensorProto;
use super::text::{LONGEST_NAME, abbreviate};

/// ONNX's number for tensors stored elsewhere.
pub(crate) const EXTERNAL: i32 = 1;

/// The names of the files that tensors lie in, each with that of the first such tensor.
pub type FilesBeside = BTreeMap<String, String>;

/// Tells whether a tensor's values lie in another file.
pub(crate) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location.unwrap_or(0) != 0 || !tensor.external_data.is_empty()
}

/// Refuses a tensor whose values lie in another file.
pub(crate) fn refuse(tensor: &TensorProto) -> Result<(), String> {
    if !is_external(tensor) {
        return Ok(());
    }
    Err(format!(
        "its tensor {} is stored in another file, and only files that hold their own weights are \
         accepted here; {JOINED}",
        name(tensor)
    ))
}

const JOINED: &str = "onnx.save(onnx.load(\"in.onnx\"), \"out.onnx\") in Python joins them";

/// Notes which file a tensor's values lie in, if it is another one.
pub(crate) fn collect(tensor: &TensorProto, into: &mut FilesBeside) -> Result<(), String> {
    if is_external(tensor) {
        let location = location(tensor)?;
        if !into.contains_key(location) {
            into.insert(location.into(), tensor.name().into());
        }
    }
    Ok(())
}

/// Takes the values of tensors from the files they lie in.
pub(crate) struct Resolver<F> {
    beside: F,
    /// Bytes that were taken: parts may overlap, and what is made of them does not.
    taken: u64,
}

impl<F: Fn(&str) -> Option<Bytes>> Resolver<F> {
    pub(crate) fn new(beside: F) -> Self {
        Self { beside, taken: 0 }
    }

    pub(crate) fn resolve(&mut self, tensor: &mut TensorProto) -> Result<(), String> {
        if !is_external(tensor) {
            return Ok(());
        }
        let place = location(tensor)?;
        let called = || abbreviate(place, LONGEST_NAME);
        let file = (self.beside)(place).ok_or_else(|| {
            let (name, called) = (name(tensor), called());
            format!("its tensor {name} is stored in `{called}`, which is not there")
        })?;
        let offset = number(tensor, "offset")?.unwrap_or(0);
        let length = match number(tensor, "length")? {
            Some(length) => length,
            None => size(tensor).ok_or_else(|| {
                let name = name(tensor);
                format!(
                    "its tensor {name} lies in `{}` and has no known length",
                    called()
                )
            })?,
        };
        let end = offset.saturating_add(length);
        if end > file.len() as u64 {
            return Err(format!(
                "its tensor {} takes the bytes {offset} to {end} of `{}`, which has {}: that file \
                 is cut off, or another model's",
                name(tensor),
                called(),
                file.len()
            ));
        }
        self.taken = self.taken.saturating_add(length);
        if self.taken > MAX_FILE_BYTES {
            return Err(format!(
                "its tensors take more than {} MiB of other files together, which is the limit",
                MAX_FILE_BYTES >> 20
            ));
        }
        tensor.raw_data = Some(file.slice(offset as usize..end as usize));
        tensor.external_data.clear();
        tensor.data_location = None;
        Ok(())
    }
}

/// The name of the file that a tensor lies in, if it is one in the model's folder.
fn location(tensor: &TensorProto) -> Result<&str, String> {
    let name = name(tensor);
    let location = entry(tensor, "location").unwrap_or_default();
    if location.is_empty() {
        return Err(format!(
            "its tensor {name} is stored in another file, and none is named; {JOINED}"
        ));
    }
    let components = || Path::new(location).components();
    let is_inside = components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
        && components().any(|c| matches!(c, Component::Normal(_)))
        && !location.contains('\0');
    if !is_inside {
        return Err(format!(
            "its tensor {name} is stored in `{}`, which leads out of the model's folder, and only \
             files in that folder are read; {JOINED}",
            abbreviate(location, LONGEST_NAME)
        ));
    }
    Ok(location)
}

fn entry<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    let mut entries = tensor.external_data.iter();
    entries
        .find(|entry| entry.key() == key)
        .map(|entry| entry.value())
}

fn number(tensor: &TensorProto, key: &str) -> Result<Option<u64>, String> {
    let read = |text: &str| {
        text.parse().map_err(|_| {
            let (name, text) = (name(tensor), abbreviate(text, LONGEST_NAME));
            format!("its tensor {name} has the {key} `{text}` in another file, which is no number")
        })
    };
    entry(tensor, key).map(read).transpose()
}

/// Bytes that a tensor's values take by its shape and type.
fn size(tensor: &TensorProto) -> Option<u64> {
    let element = match tensor.data_type() {
        2 | 3 | 9 | 17..=20 => 1,
        4 | 5 | 10 | 16 => 2,
        1 | 6 | 12 => 4,
        7 | 11 | 13 | 14 => 8,
        15 => 16,
        _ => return None,
    };
    let mut dims = tensor.dims.iter();
    dims.try_fold(element, |size: u64, dim| {
        size.checked_mul(u64::try_from(*dim).ok()?)
    })
}

fn name(tensor: &TensorProto) -> String {
    format!("`{}`", abbreviate(tensor.name(), LONGEST_NAME))
}

#[cfg(test)]
mod tests {
    use super::super::build::GraphBuilder;
    use super::super::proto::{
        AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto,
    };
    use super::super::{FLOAT, decode, decode_shared, encode, encode_beside, files_beside};
    use super::*;

    fn stored(entries: &[(&str, &str)]) -> TensorProto {
        let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value.into()),
        };
        TensorProto {
            name: Some("w".into()),
            dims: vec![2],
            data_type: Some(FLOAT),
            external_data: entries.iter().map(entry).collect(),
            data_location: Some(EXTERNAL),
            ..TensorProto::default()
        }
    }

    fn holding(tensor: TensorProto) -> ModelProto {
        let mut model = GraphBuilder::new("sample", 17)
            .input("x", &[1, 3, -1, -1])
            .node("Mul", &["x", "w"], &["y"])
            .output("y", &[1, 3, -1, -1])
            .finish();
        model.graph.get_or_insert_default().initializer.push(tensor);
        model
    }

    fn bytes_of(model: &ModelProto) -> Bytes {
        encode(model).into()
    }

    fn read(tensor: TensorProto, beside: &'static [u8]) -> Result<Vec<u8>, String> {
        let found = |name: &str| (name == "w.data").then_some(Bytes::from_static(beside));
        let model = decode_shared(&bytes_of(&holding(tensor)), found)?;
        let tensor = &model.graph.unwrap().initializer[0];
        assert!(!is_external(tensor));
        Ok(tensor.raw_data.clone().unwrap().to_vec())
    }

    #[test]
    fn values_come_from_their_part_of_the_file() {
        let whole = b"0123456789abcdef";
        let at = |entries: &[(&str, &str)]| {
            let named = [&[("location", "w.data")], entries].concat();
            read(stored(&named), whole).unwrap()
        };
        assert_eq!(at(&[("offset", "3"), ("length", "8")]), b"3456789a");
        assert_eq!(at(&[("offset", "8")]), b"89abcdef");
        assert_eq!(at(&[]), b"01234567", "the shape tells the length");
    }

    #[test]
    fn parts_beyond_the_file_and_no_numbers_are_refused() {
        for (entries, reason) in [
            (
                &[("length", "17")][..],
                "the bytes 0 to 17 of `w.data`, which has 16",
            ),
            (&[("offset", "9")], "the bytes 9 to 17"),
            (&[("offset", "18446744073709551615")], "which has 16"),
            (&[("offset", "-1")], "the offset `-1`"),
            (&[("length", "many")], "the length `many`"),
        ] {
            let named = [&[("location", "w.data")], entries].concat();
            let why = read(stored(&named), b"0123456789abcdef").unwrap_err();
            assert!(why.contains("`w`") && why.contains(reason), "{why}");
        }
        let untyped = TensorProto {
            data_type: Some(99),
            ..stored(&[("location", "w.data")])
        };
        assert!(read(untyped, b"").is_err_and(|why| why.contains("no known length")));
    }

    #[test]
    fn names_that_lead_out_of_the_folder_are_refused() {
        for location in [
            "/etc/passwd",
            "../w",
            "a/../../w",
            "/",
            ".",
            "..",
            "a\0b",
            "",
        ] {
            let model = bytes_of(&holding(stored(&[("location", location)])));
            let why = files_beside(&model).unwrap_err();
            let reason = match location {
                "" => "none is named",
                _ => "out of the model's folder",
            };
            assert!(
                why.contains("`w`") && why.contains(reason),
                "{location}: {why}"
            );
        }
    }

    #[test]
    fn external_data_is_found_wherever_it_hides() {
        let named = |location| stored(&[("location", location)]);
        let attribute = AttributeProto {
            g: Some(GraphProto {
                initializer: vec![named("in/a.subgraph")],
                ..GraphProto::default()
            }),
            t: Some(named("an.attribute")),
            ..AttributeProto::default()
        };
        let mut model = holding(named("w.data"));
        let node = NodeProto {
            attribute: vec![attribute],
            ..NodeProto::default()
        };
        model.graph.get_or_insert_default().node.push(node);
        let found = files_beside(&bytes_of(&model)).unwrap();
        let found: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(found, ["an.attribute", "in/a.subgraph", "w.data"]);
        // where no other files are taken, each of them is refused
        let why = decode(&encode(&model)).unwrap_err();
        assert!(why.contains("another file"), "{why}");
        let whole = Bytes::from_static(&[0; 8]);
        let model = decode_shared(&bytes_of(&model), |_| Some(whole.clone())).unwrap();
        assert_eq!(decode(&encode(&model)), Ok(model));
    }

    #[test]
    fn one_part_taken_again_and_again_has_an_end() {
        let whole = Bytes::from(vec![0; 1 << 20]);
        let length = whole.len().to_string();
        let part = stored(&[("location", "w.data"), ("length", &length)]);
        let mut model = holding(part.clone());
        let graph = model.graph.get_or_insert_default();
        graph.initializer = vec![part; (MAX_FILE_BYTES >> 20) as usize];
        assert!(decode_shared(&bytes_of(&model), |_| Some(whole.clone())).is_ok());
        let graph = model.graph.get_or_insert_default();
        graph.initializer.push(graph.initializer[0].clone());
        let why = decode_shared(&bytes_of(&model), |_| Some(whole.clone())).unwrap_err();
        assert!(why.contains("more than 512 MiB of other files"), "{why}");
    }

    #[test]
    fn what_came_from_beside_is_referred_to_again() {
        let length = 4096;
        let text = length.to_string();
        let tensor = TensorProto {
            dims: vec![length / 4],
            ..stored(&[("location", "w.data"), ("length", &text)])
        };
        let model = encode(&holding(tensor));
        let joined = Bytes::from([&model[..], &vec![7; length as usize]].concat());
        let (own, beside) = (joined.slice(..model.len()), joined.slice(model.len()..));
        let model = decode_shared(&own, |_| Some(beside.clone())).unwrap();
        let encoded = encode_beside(model, &joined);
        assert!(encoded.len() < 1024, "{} bytes", encoded.len());
    }
}
