//! Statements about a network besides its graph: by the user, by a file beside it, by its own
//! metadata. All three speak the same keys:
//!
//! | key | values | meaning |
//! | --- | --- | --- |
//! | `family` | `auto`, `rife`, `film`, `midpoint` | as the element's `model-family` |
//! | `range` | `0..1`, `-1..1` | what the numbers of a picture range over, in and out |
//! | `layout` | `nchw`, `nhwc` | the order of a picture's dimensions |
//! | `channel_order` | `rgb`, `bgr` | the order of a picture's channels |
//! | `align` | 1 to 1024 | width and height are padded to multiples of this |
//! | `pad` | `repeat`, `reflect`, `zeros` | what is in that padding |
//! | `timestep` | `none`, `scalar`, `plane` | `none`: the phase is ignored, all there is lies midway |
//! | `output` | `motion`, or an output's name | what the answer is; without it, the one picture there is |
//! | `flow_unit` | `input_pixels` | the unit of motion: pixels of the padded input |
//! | `light` | `levelled` | the network sees two pictures in different light as if it were the same |
//! | `input.NAME` | a number | what the input of this name holds, always |
//! | `name` | any text of up to 160 bytes | for display |
//!
//! In metadata the keys begin with `vfiinterp.`, others are passed over, and `family` is text for
//! display.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use onnx_graph::proto::ModelProto;
use onnx_graph::{LONGEST_NAME, abbreviate};

use super::types::{ChannelOrder, Layout, Padding, Range};
use crate::models::files::{lies_beside, open_regular};
use crate::models::options::ModelFamily;
use crate::models::signature::StatedPhase;

/// Largest alignment; larger ones are refused.
pub const MAX_ALIGN: usize = 1024;
/// Most inputs that may be given numbers; numbers for more are refused.
const MAX_CONSTANTS: usize = 64;
/// Size of the largest sidecar file, in bytes; larger ones are refused.
const MAX_SIDECAR: u64 = 64 << 10;
/// Prefix of the keys in the file's metadata.
const METADATA_PREFIX: &str = "vfiinterp.";

const KEYS: [&str; 12] = [
    "family",
    "range",
    "layout",
    "channel_order",
    "align",
    "pad",
    "timestep",
    "output",
    "flow_unit",
    "light",
    "input.NAME",
    "name",
];
/// Prefix of the keys that are about one of the network's inputs.
const INPUT: &str = "input.";
const FAMILIES: [ModelFamily; 4] = [
    ModelFamily::Auto,
    ModelFamily::Rife,
    ModelFamily::Film,
    ModelFamily::Midpoint,
];
const RANGES: [(&str, Range); 2] = [("0..1", Range::Unit), ("-1..1", Range::Signed)];
const LAYOUTS: [(&str, Layout); 2] = [("nchw", Layout::Nchw), ("nhwc", Layout::Nhwc)];
const ORDERS: [(&str, ChannelOrder); 2] = [("rgb", ChannelOrder::Rgb), ("bgr", ChannelOrder::Bgr)];
const TIMESTEPS: [(&str, StatedPhase); 3] = [
    ("none", StatedPhase::None),
    ("scalar", StatedPhase::Scalar),
    ("plane", StatedPhase::Plane),
];
const FLOW_UNITS: [(&str, ()); 1] = [("input_pixels", ())];
const PADDINGS: [(&str, Padding); 3] = [
    ("repeat", Padding::Repeat),
    ("reflect", Padding::Reflect),
    ("zeros", Padding::Zeros),
];
const LIGHTS: [(&str, ()); 1] = [("levelled", ())];

/// Source of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The user, by a property.
    Property(&'static str),
    /// A file in TOML.
    Sidecar(PathBuf),
    /// The model's own metadata.
    Metadata,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(name) => f.write_str(name),
            Self::Sidecar(path) => write!(f, "{}", path.display()),
            Self::Metadata => f.write_str("its metadata"),
        }
    }
}

/// Statements of one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statement {
    /// The name to display.
    pub name: Option<String>,
    /// Family it is to be taken for.
    pub family: Option<ModelFamily>,
    /// Range of the numbers of pictures.
    pub range: Option<Range>,
    /// The order of dimensions.
    pub layout: Option<Layout>,
    /// The order of channels.
    pub channel_order: Option<ChannelOrder>,
    /// The multiple sizes are padded to.
    pub align: Option<usize>,
    /// Content of the padding.
    pub pad: Option<Padding>,
    /// Values of the inputs that get neither pictures nor the phase, by the inputs' names.
    pub constants: BTreeMap<String, f64>,
    /// Form of the phase.
    pub timestep: Option<StatedPhase>,
    /// `motion`, or the name of the output that is the picture.
    pub output: Option<String>,
    /// Set where motion is stated to be in pixels of the padded input, the one unit there is.
    pub flow_unit: Option<()>,
    /// Set where the network is stated to level pictures in different light itself.
    pub light: Option<()>,
}

impl Statement {
    /// Takes one key's value.
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        if let Some(input) = key.strip_prefix(INPUT) {
            return self.set_input(input, value);
        }
        let key = key.replace('-', "_");
        match key.as_str() {
            "name" if value.len() > LONGEST_NAME => {
                return Err(format!(
                    "name has {} bytes, and the limit is {LONGEST_NAME}",
                    value.len()
                ));
            }
            "name" => store(&mut self.name, Ok(value.into())),
            "family" => store(
                &mut self.family,
                choose(value, &FAMILIES.map(|f| (f.nick(), f))),
            ),
            "range" => store(&mut self.range, choose(value, &RANGES)),
            "layout" => store(&mut self.layout, choose(value, &LAYOUTS)),
            "channel_order" => store(&mut self.channel_order, choose(value, &ORDERS)),
            "timestep" => store(&mut self.timestep, choose(value, &TIMESTEPS)),
            "pad" => store(&mut self.pad, choose(value, &PADDINGS)),
            "output" => store(&mut self.output, Ok(value.into())),
            "flow_unit" => store(&mut self.flow_unit, choose(value, &FLOW_UNITS)),
            "light" => store(&mut self.light, choose(value, &LIGHTS)),
            "align" => {
                let parsed = value.parse().ok();
                let align = parsed.filter(|align| (1..=MAX_ALIGN).contains(align));
                let align = align.ok_or_else(|| format!("1 to {MAX_ALIGN}"));
                store(&mut self.align, align)
            }
            _ => {
                let key = abbreviate(&key, LONGEST_NAME);
                return Err(format!("`{key}` is no key; accepted are {}", list(&KEYS)));
            }
        }
        .map_err(|accepted| match accepted {
            Refusal::Twice => format!("`{key}` is stated twice"),
            Refusal::Value(accepted) => {
                let value = abbreviate(value, LONGEST_NAME);
                format!("{key} is `{value}`, and accepted is {accepted}")
            }
        })
    }

    /// Takes what an input is to hold.
    fn set_input(&mut self, input: &str, value: &str) -> Result<(), String> {
        let called = abbreviate(input, LONGEST_NAME);
        if self.constants.len() == MAX_CONSTANTS {
            return Err(format!(
                "numbers are stated for more than {MAX_CONSTANTS} inputs, which is the limit"
            ));
        }
        let number = value.parse().ok().filter(|number: &f64| number.is_finite());
        let number = number.ok_or_else(|| {
            let value = abbreviate(value, LONGEST_NAME);
            format!("{INPUT}{called} is `{value}`, and accepted is a number")
        })?;
        match self.constants.insert(input.into(), number) {
            Some(_) => Err(format!("`{INPUT}{called}` is stated twice")),
            None => Ok(()),
        }
    }

    /// Reads `key=value` pairs, separated by commas or semicolons.
    ///
    /// # Errors
    /// Returns an error that names the first pair that is not understood, and what would be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut statement = Self::default();
        for part in text.split([',', ';']).map(str::trim) {
            if part.is_empty() {
                continue;
            }
            let (key, value) = part.split_once('=').ok_or_else(|| {
                format!(
                    "`{}` is neither key=value nor the path of a .toml file; keys are {}",
                    abbreviate(part, LONGEST_NAME),
                    list(&KEYS)
                )
            })?;
            statement.set(key.trim(), value.trim())?;
        }
        Ok(statement)
    }

    /// Reads a sidecar's text.
    ///
    /// # Errors
    /// Returns an error that says what is not understood, and what would be.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| abbreviate(&error.to_string(), 1024).into_owned())?;
        let mut statement = Self::default();
        for (key, value) in &table {
            match value {
                toml::Value::String(text) => statement.set(key, text)?,
                toml::Value::Integer(number) => statement.set(key, &number.to_string())?,
                // `input.steps = 20`, which TOML takes for a table
                toml::Value::Table(inputs) if key == "input" => {
                    for (input, value) in inputs {
                        let number = match value {
                            toml::Value::Integer(number) => number.to_string(),
                            toml::Value::Float(number) => number.to_string(),
                            other => return Err(of_type(input, other, "numbers")),
                        };
                        statement.set_input(input, &number)?;
                    }
                }
                other => return Err(of_type(key, other, "text and whole numbers")),
            }
        }
        Ok(statement)
    }

    /// Reads a model's metadata.
    ///
    /// # Errors
    /// Returns an error that names the first value that is not understood, and what would be.
    pub fn from_metadata(model: &ModelProto) -> Result<Self, String> {
        let mut statement = Self::default();
        for entry in &model.metadata_props {
            let key = entry.key.as_deref().unwrap_or_default();
            let value = entry.value.as_deref().unwrap_or_default();
            if let Some(key) = key.strip_prefix(METADATA_PREFIX)
                && (KEYS.contains(&key) || key.starts_with(INPUT))
                && key != "family"
            {
                statement
                    .set(key, value)
                    .map_err(|why| format!("its metadata is wrong: {METADATA_PREFIX}{why}"))?;
            }
        }
        Ok(statement)
    }
}

fn of_type(key: &str, value: &toml::Value, accepted: &str) -> String {
    let (key, found) = (abbreviate(key, LONGEST_NAME), value.type_str());
    format!("`{key}` is of type {found}, and accepted are {accepted}")
}

/// The family a model's metadata names, for display.
pub(crate) fn family_text(model: &ModelProto) -> Option<&str> {
    let entries = &mut model.metadata_props.iter();
    entries
        .find(|entry| entry.key.as_deref() == Some("vfiinterp.family"))
        .and_then(|entry| entry.value.as_deref())
}

enum Refusal {
    Twice,
    Value(String),
}

fn store<T>(place: &mut Option<T>, value: Result<T, String>) -> Result<(), Refusal> {
    match place.replace(value.map_err(Refusal::Value)?) {
        Some(_) => Err(Refusal::Twice),
        None => Ok(()),
    }
}

fn choose<T: Copy>(text: &str, among: &[(&str, T)]) -> Result<T, String> {
    let found = among.iter().find(|(name, _)| *name == text);
    found
        .map(|&(_, value)| value)
        .ok_or_else(|| list(&among.iter().map(|&(name, _)| name).collect::<Vec<_>>()))
}

fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).into(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Statements of all sources, the strongest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stated(Vec<(Origin, Statement)>);

impl Stated {
    /// Gathers what the user states with `family` and `info` (`key=value` pairs, or the path of a
    /// .toml file) about the model in `file`. Where `info` names no file, the one beside the model
    /// (`rife.toml` beside `rife.onnx`) is read if it is there.
    ///
    /// # Errors
    /// Returns an error that says what can't be read or is not understood, and what would be.
    pub fn gather(family: ModelFamily, info: &str, file: Option<&Path>) -> Result<Self, String> {
        let info = info.trim();
        let by_property = Statement {
            family: Some(family).filter(|family| *family != ModelFamily::Auto),
            ..Statement::default()
        };
        let mut stated = Self::default().and(Origin::Property("model-family"), by_property);
        let named = Path::new(info);
        if named
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("toml"))
        {
            return Ok(stated.and(Origin::Sidecar(named.into()), read_sidecar(named)?));
        }
        let inline = Statement::parse(info).map_err(|why| format!("model-info: {why}"))?;
        stated = stated.and(Origin::Property("model-info"), inline);
        if let Some(file) = file
            && let beside = file.with_extension("toml")
            && beside.is_file()
        {
            if !lies_beside(file, &beside) {
                let beside = beside.display();
                return Err(format!(
                    "the file {beside} leads out of the model's folder; model-info can name it"
                ));
            }
            let sidecar = read_sidecar(&beside)?;
            stated = stated.and(Origin::Sidecar(beside), sidecar);
        }
        Ok(stated)
    }

    /// Adds a source that is weaker than those before.
    pub fn and(mut self, origin: Origin, statement: Statement) -> Self {
        self.0.push((origin, statement));
        self
    }

    /// Returns whether anything is stated at all.
    pub fn is_empty(&self) -> bool {
        let mut sources = self.0.iter();
        sources.all(|(_, statement)| *statement == Statement::default())
    }

    /// Returns the values of the inputs that get neither pictures nor the phase, each with who
    /// states it.
    pub(crate) fn constants(&self) -> BTreeMap<&str, (f64, &Origin)> {
        let mut constants = BTreeMap::new();
        for (origin, statement) in self.0.iter().rev() {
            let stated = statement.constants.iter();
            constants.extend(stated.map(|(input, number)| (input.as_str(), (*number, origin))));
        }
        constants
    }

    /// The strongest statement of one kind, and who makes it.
    pub fn get<T>(&self, kind: impl Fn(&Statement) -> Option<&T>) -> Option<(&T, &Origin)> {
        let mut sources = self.0.iter();
        sources.find_map(|(origin, statement)| Some((kind(statement)?, origin)))
    }
}

fn read_sidecar(path: &Path) -> Result<Statement, String> {
    let failed = |why: String| format!("the model-info file {}: {why}", path.display());
    let file = open_regular(path).map_err(failed)?;
    let length = file
        .metadata()
        .map_err(|error| failed(error.to_string()))?
        .len();
    if length > MAX_SIDECAR {
        let (found, limit) = (length >> 10, MAX_SIDECAR >> 10);
        return Err(failed(format!(
            "it is {found} KiB large, and the limit is {limit} KiB"
        )));
    }
    let mut text = String::new();
    file.take(MAX_SIDECAR)
        .read_to_string(&mut text)
        .map_err(|error| failed(error.to_string()))?;
    Statement::from_toml(&text).map_err(failed)
}
